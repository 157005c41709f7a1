//! burn on the simulator's device: one wgpu device and queue for both, and the memory that they share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

use burn::tensor::wgpu::WgpuSetup;
use burn::tensor::{Device, Shape, Tensor};
use burn_wgpu::{AutoCompiler, CubeTensor, Wgpu};
use cubecl::client::{Client, Graph};
use cubecl::logging::{LaunchObservation, LaunchObserver};
use cubecl::server::Handle;
use cubecl::wgpu::WgpuServer;
use merit_sim::gpu::{Gpu, Region};

use crate::LearnError;

/// burn takes every registration for another device and compiles its kernels again for it.
static REGISTERED: Mutex<Vec<(wgpu::Device, Device)>> = Mutex::new(Vec::new());

/// Alignment of the tensors in one [`Flat`] allocation: WebGPU's largest `min_storage_buffer_offset_alignment`.
const ALIGNMENT: usize = 256;

pub(crate) fn burn_error(
    doing: &'static str,
) -> impl FnOnce(cubecl::server::ServerError) -> LearnError {
    move |e| LearnError::Burn(format!("{doing}: {e}"))
}

/// burn's side of an opened [`Gpu`]. A client belongs to the thread that uses it: a learner stays on its thread.
#[derive(Clone)]
pub struct BurnDevice {
    pub device: Device,
    pub client: Client,
    cube: cubecl::Device,
}

impl BurnDevice {
    /// Registers `gpu` with burn, once per opened device.
    ///
    /// # Errors
    /// [`LearnError::Burn`] if burn refuses the device.
    pub fn new(gpu: &Gpu) -> Result<Self, LearnError> {
        let mut registered = REGISTERED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let known = registered
            .iter()
            .find(|(d, _)| *d == gpu.device)
            .map(|(_, b)| b.clone());
        let device = match known {
            Some(device) => device,
            None => {
                let setup = WgpuSetup {
                    instance: gpu.instance.clone(),
                    adapter: gpu.adapter.clone(),
                    device: gpu.device.clone(),
                    queue: gpu.queue.clone(),
                    backend: gpu.info.backend,
                };
                let device = Device::wgpu_options().setup(setup).init();
                let device =
                    device.map_err(|e| LearnError::Burn(format!("registering the device: {e}")))?;
                registered.push((gpu.device.clone(), device.clone()));
                device
            }
        };
        let probe = cube_tensor(Tensor::<1>::zeros([1], &device))?;
        Ok(Self {
            device,
            client: probe.client,
            cube: probe.device,
        })
    }

    /// Hands burn's queued kernels to the device queue, so that what is submitted next runs after them.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn flush(&self) -> Result<(), LearnError> {
        self.client.flush().map_err(burn_error("flushing"))
    }

    /// The device memory behind `tensor`, which must outlive the region.
    ///
    /// # Errors
    /// [`LearnError::Burn`] if `tensor` is not contiguous: our kernels know no strides.
    pub fn region<const D: usize>(&self, tensor: &Tensor<D>) -> Result<Region, LearnError> {
        let tensor = cube_tensor(tensor.clone())?;
        if !tensor.is_contiguous() {
            return Err(LearnError::Burn("a shared tensor is not contiguous".into()));
        }
        let bytes = 4 * tensor.meta.shape().num_elements() as u64;
        let mut region = self.resource(tensor.handle)?;
        region.size = bytes;
        Ok(region)
    }

    fn resource(&self, handle: Handle) -> Result<Region, LearnError> {
        let resource = self.client.get_resource::<WgpuServer<AutoCompiler>>(handle);
        let resource = resource.map_err(burn_error("looking up a buffer"))?;
        let resource = resource.resource();
        Ok(Region {
            buffer: resource.buffer.clone(),
            offset: resource.offset,
            size: resource.size,
        })
    }

    /// One allocation of its own for tensors of the given shapes, which are views into it.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn flat(&self, shapes: &[Vec<usize>]) -> Result<Flat, LearnError> {
        let mut words = Vec::new();
        let mut end = 0;
        for shape in shapes {
            let start = end;
            end = start + shape.iter().product::<usize>();
            words.push(start..end);
            end = end.next_multiple_of(ALIGNMENT / 4);
        }
        let size = 4 * end as u64;
        let handle = self
            .client
            .memory_dedicated_allocation((), |()| self.client.empty(size as usize));
        let mut region = self.resource(handle.clone())?;
        region.size = size;
        Ok(Flat {
            cube: self.cube.clone(),
            client: self.client.clone(),
            handle,
            region,
            shapes: shapes.to_vec(),
            words,
        })
    }

    /// Records `closure`'s kernels for replay. It runs three times before: the first run compiles the kernels, and all its
    /// memory must lie in the pool before the recording, which may allocate nothing.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn capture<T>(&self, mut closure: impl FnMut() -> T) -> Result<Recorded<T>, LearnError> {
        self.client
            .graph_prepare()
            .map_err(burn_error("preparing a recording"))?;
        for _ in 0..3 {
            // The output is held until the work is done, so that the next run gets other memory only where it must.
            let output = closure();
            pollster::block_on(self.client.sync()).map_err(burn_error("warming up"))?;
            drop(output);
        }
        self.client
            .start_capture()
            .map_err(burn_error("recording"))?;
        let count = Arc::new(LaunchCount {
            thread: std::thread::current().id(),
            launches: AtomicU64::new(0),
        });
        let observation = LaunchObservation::new(count.clone());
        let output = closure();
        drop(observation);
        let graph = self.client.stop_capture();
        Ok(Recorded {
            graph: graph.map_err(burn_error("recording"))?,
            output,
            launches: count.launches.load(Ordering::Relaxed),
        })
    }
}

fn cube_tensor<const D: usize>(tensor: Tensor<D>) -> Result<CubeTensor, LearnError> {
    tensor
        .try_into_primitive::<Wgpu>()
        .map_err(|e| LearnError::Burn(format!("not a wgpu tensor: {e:?}")))
}

/// Tensors in one allocation: our kernels see one buffer, burn sees a tensor each.
pub struct Flat {
    cube: cubecl::Device,
    client: Client,
    handle: Handle,
    /// The whole allocation.
    pub region: Region,
    pub shapes: Vec<Vec<usize>>,
    /// Where tensor `i` lies, in words. Each starts on a 256-byte boundary.
    pub words: Vec<std::ops::Range<usize>>,
}

impl Flat {
    /// Words of the whole allocation, gaps included.
    pub fn total_words(&self) -> usize {
        (self.region.size / 4) as usize
    }

    /// Tensor `i`: a view, valid as long as any clone of it lives.
    pub fn tensor<const D: usize>(&self, i: usize) -> Tensor<D> {
        let (start, end) = (4 * self.words[i].start as u64, 4 * self.words[i].end as u64);
        let handle = self
            .handle
            .clone()
            .offset_start(start)
            .offset_end(self.handle.size() - end);
        let shape = Shape::from(self.shapes[i].clone());
        let tensor = CubeTensor::new_contiguous(
            self.client.clone(),
            self.cube.clone(),
            shape,
            handle,
            burn::tensor::DType::F32,
        );
        Tensor::from_primitive::<Wgpu>(tensor)
    }

    /// The memory of tensor `i`.
    pub fn part(&self, i: usize) -> Region {
        let words = &self.words[i];
        Region {
            buffer: self.region.buffer.clone(),
            offset: self.region.offset + 4 * words.start as u64,
            size: 4 * words.len() as u64,
        }
    }
}

/// Counts what one thread launches; an observer hears of every thread's launches.
struct LaunchCount {
    thread: ThreadId,
    launches: AtomicU64,
}

impl LaunchObserver for LaunchCount {
    fn launched(&self, _kernel: &'static str) {
        if std::thread::current().id() == self.thread {
            self.launches.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Kernels that burn recorded, and what they write.
pub struct Recorded<T> {
    graph: Graph,
    pub output: T,
    /// Kernels of one replay.
    pub launches: u64,
}

impl<T> Recorded<T> {
    /// Queues the recorded kernels. Every tensor that they read or write must still exist: keep the inputs beside this.
    ///
    /// # Errors
    /// [`LearnError::Burn`].
    pub fn replay(&self) -> Result<(), LearnError> {
        // SAFETY: the recording's inputs are `Flat` allocations that the learner owns together with it, its outputs are
        // held in `output`, and all work is queued from the learner's one thread.
        unsafe { self.graph.replay() }.map_err(burn_error("replaying"))
    }
}
