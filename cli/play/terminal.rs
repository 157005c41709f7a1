//! The terminal while someone plays: one screen, redrawn after each key, and put back however it ends.

use std::io::{self, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::style::Print;
use crossterm::terminal::{
    self, BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
    LeaveAlternateScreen,
};
use crossterm::{cursor, execute, queue};
use merit_sim::course::{Act, Course};
use merit_sim::gpu::Gpu;

use super::hands::{Hands, Told};
use super::{deeds, screen};
use crate::failure::INTERRUPTED;
use crate::player::{Player, caption};

/// Between two steps while it runs by itself.
const PACE: Duration = Duration::from_millis(200);

/// Holds the terminal; gives it back when dropped.
struct Held;

impl Held {
    fn take() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let held = Self;
        execute!(stdout(), EnterAlternateScreen, cursor::Hide)?;
        // A panic prints its message before anything is dropped: it must be seen on the screen that stays.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        // In raw mode Ctrl-C is a key; this is for signals from elsewhere.
        ctrlc::set_handler(|| {
            give_back();
            std::process::exit(INTERRUPTED.into());
        })
        .map_err(io::Error::other)?;
        Ok(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        give_back();
    }
}

/// Does no harm twice. There is nobody left to tell of a failure.
fn give_back() {
    let _ = terminal::disable_raw_mode();
    let _ = execute!(
        stdout(),
        EndSynchronizedUpdate,
        LeaveAlternateScreen,
        cursor::Show
    );
}

/// What is seen beside the course.
struct View {
    /// `None` where nobody sits at the keyboard.
    hands: Option<Hands>,
    running: bool,
    top: usize,
    message: String,
}

/// Until `q`, Escape or Ctrl-C.
pub fn watch(gpu: &Gpu, course: &mut Course, player: &mut Player) -> anyhow::Result<ExitCode> {
    let person = matches!(player, Player::Person);
    let mut view = View {
        hands: person.then(|| Hands::new(course.spec())),
        running: false,
        top: 0,
        message: String::new(),
    };
    if let Some(hands) = &mut view.hands {
        hands.allow(course.allowed()?);
        hands.clear();
    }
    let _held = Held::take()?;
    loop {
        let room = draw(course, &mut view)?;
        if view.running && !event::poll(PACE)? {
            forward(gpu, course, player, &mut view)?;
            continue;
        }
        let key = match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            _ => continue,
        };
        view.message.clear();
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Ok(ExitCode::from(INTERRUPTED));
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(ExitCode::SUCCESS),
            _ => press(gpu, course, player, &mut view, key, room)?,
        }
    }
}

fn press(
    gpu: &Gpu,
    course: &mut Course,
    player: &mut Player,
    view: &mut View,
    key: KeyEvent,
    room: usize,
) -> anyhow::Result<()> {
    match key.code {
        KeyCode::PageUp => view.top = view.top.saturating_sub(room),
        KeyCode::PageDown => view.top += room,
        KeyCode::Home => go_to(course, view, 0)?,
        KeyCode::End => go_to(course, view, usize::MAX)?,
        KeyCode::Backspace | KeyCode::Char(',') => {
            go_to(course, view, course.at().saturating_sub(1))?;
        }
        KeyCode::Char('.') => go_to(course, view, course.at() + 1)?,
        KeyCode::Char('n') if matches!(player, Player::Nobody) => {
            view.message = "a replay has its own episodes".into();
        }
        KeyCode::Char('n') => {
            // What a policy remembers belongs to the end of the course.
            if view.hands.is_none() {
                course.seek(usize::MAX)?;
            }
            player.begin_again(gpu, course)?;
            moved(course, view)?;
            if let Some(hands) = &mut view.hands {
                hands.clear();
            }
        }
        KeyCode::Char('p') if view.hands.is_none() => view.running = !view.running,
        KeyCode::Enter | KeyCode::Char(' ') => forward(gpu, course, player, view)?,
        code => match view.hands.as_mut().map(|hands| hands.key(code)) {
            Some(Told::Ready) => forward(gpu, course, player, view)?,
            Some(Told::Refused(why)) => view.message = why,
            Some(Told::Changed | Told::Nothing) => {}
            // Whoever watches leafs through the course.
            None if code == KeyCode::Right => forward(gpu, course, player, view)?,
            None if code == KeyCode::Left => go_to(course, view, course.at().saturating_sub(1))?,
            None => {}
        },
    }
    Ok(())
}

/// A person's step is made from the moment that is shown; a policy goes on at the end of the course, and what lies before
/// that is shown as it was.
fn forward(
    gpu: &Gpu,
    course: &mut Course,
    player: &mut Player,
    view: &mut View,
) -> anyhow::Result<()> {
    match &mut view.hands {
        Some(hands) if course.now().ended() => {
            course.go_on(Act::Reset)?;
            hands.allow(course.allowed()?);
            hands.clear();
        }
        Some(hands) => {
            course.go_on(Act::Step(hands.words()))?;
        }
        None if course.at() + 1 < course.moments().len() => course.seek(course.at() + 1)?,
        None if matches!(player, Player::Nobody) => {
            view.running = false;
            view.message = "the replay ends here".into();
        }
        None => player.go_on(gpu, course)?,
    }
    moved(course, view)
}

fn go_to(course: &mut Course, view: &mut View, moment: usize) -> anyhow::Result<()> {
    view.running = false;
    course.seek(moment)?;
    moved(course, view)
}

fn moved(course: &Course, view: &mut View) -> anyhow::Result<()> {
    if let Some(hands) = &mut view.hands {
        hands.allow(course.allowed()?);
    }
    Ok(())
}

/// Returns how many lines the moment has to itself.
fn draw(course: &Course, view: &mut View) -> anyhow::Result<usize> {
    let (width, height) = terminal::size()?;
    let (width, height) = (usize::from(width), usize::from(height));
    let mut body = vec![caption(course)];
    body.extend(deeds(course));
    body.push(String::new());
    body.extend(course.frame()?.text.lines().map(str::to_owned));
    let mut foot = view.hands.as_ref().map_or_else(Vec::new, Hands::lines);
    let (at, last) = (course.at(), course.moments().len() - 1);
    let keys = if view.hands.is_some() {
        "TAB agent  ENTER step  BACKSPACE back  . forth  n new episode  q quit"
    } else {
        "ENTER step  p run/pause  LEFT back  HOME start  END end  n new episode  q quit"
    };
    foot.push(format!("moment {at} of {last}  {}", view.message));
    foot.push(keys.into());
    let room = height.saturating_sub(foot.len());
    view.top = view.top.min(screen::last_top(body.len(), room));
    let lines = screen::fit(&body, &foot, view.top, width, height);
    let mut out = stdout().lock();
    queue!(out, BeginSynchronizedUpdate)?;
    for (row, line) in (0..).zip(&lines) {
        queue!(
            out,
            cursor::MoveTo(0, row),
            Print(line),
            Clear(ClearType::UntilNewLine)
        )?;
    }
    queue!(out, EndSynchronizedUpdate)?;
    out.flush()?;
    Ok(room.max(1))
}
