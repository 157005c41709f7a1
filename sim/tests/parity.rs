//! The shaders against recordings of the reference.

use merit_sim::gpu::{AdapterChoice, Gpu};
use merit_sim::parity::check_file_with;
use merit_sim::registry::Layout;

#[test]
fn try_all() {
    let gpu = Gpu::open(&AdapterChoice::Best).unwrap();
    let dir = std::env::var("MERIT_GOLDEN").unwrap();
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for layout in [Layout::Thread, Layout::Tile] {
        let mut failed = 0;
        for f in &files {
            let t0 = std::time::Instant::now();
            let r = check_file_with(&gpu, f, layout, false).unwrap();
            println!("{} {} {:.1}s", r.file, r.pass, t0.elapsed().as_secs_f32());
            if !r.pass {
                failed += 1;
            }
            for a in &r.arrays {
                if !a.pass {
                    println!(
                        "   {} {} of {} max {}",
                        a.name, a.unequal, a.compared, a.max_abs_diff
                    );
                }
            }
        }
        println!("{layout:?} failed {failed}");
    }
}
