//! The terminal: chapters, steps that tick while they run, a board at the end. Colour and movement only where somebody
//! looks; never wider than [`WIDTH`].

use std::io::{IsTerminal as _, Write as _};
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, interval};

/// Columns in use.
pub(super) const WIDTH: usize = 96;
/// Time between two pictures of a step that runs.
const FRAME: Duration = Duration::from_millis(90);
const FRAMES: [&str; 8] = ["⠋", "⠙", "⠸", "⢰", "⣠", "⣄", "⡆", "⠇"];
/// Columns of a label on the board.
const LABEL: usize = 14;

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// As it is.
    Plain,
    /// Stands out.
    Bold,
    /// Stands back.
    Dim,
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// The river's colour.
    River,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::River => "36",
        }
    }
}

/// What we write to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    terminal: bool,
    colour: bool,
    out: fn(&str),
}

impl Screen {
    /// Standard output: moves on a terminal, coloured there too unless `NO_COLOR` is set (no-color.org).
    pub(super) fn new() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { terminal, colour: terminal && !refused, out: put }
    }

    /// Text in a style.
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if self.colour && style != Style::Plain {
            format!("\u{1b}[{}m{text}\u{1b}[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// A heading over the steps that follow.
    pub(super) fn chapter(self, title: &str) {
        (self.out)(&format!("\n  {}\n\n", self.paint(Style::Bold, title)));
    }

    /// Lines as they are.
    pub(super) fn say(self, text: &str) {
        (self.out)(&format!("{text}\n"));
    }

    /// Does a piece of work under a title and says how it went: `work` gives what comes of it and a sentence with facts.
    ///
    /// # Errors
    /// The work's own, after the screen has shown that it failed.
    pub(super) async fn step<T>(
        self,
        title: &str,
        work: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        let begun = Instant::now();
        let mut work = pin!(work);
        let mut frames = interval(FRAME);
        let mut turn = FRAMES.iter().cycle();
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = &mut work => break outcome,
                _ = frames.tick(), if self.terminal => {
                    let sign = self.paint(Style::River, turn.next().unwrap_or(&""));
                    (self.out)(&format!("\r\u{1b}[2K  {sign} {title} …"));
                }
            }
        };
        let start = if self.terminal { "\r\u{1b}[2K" } else { "" };
        let time = format!("{:.2} s", begun.elapsed().as_secs_f64());
        let room = (WIDTH - 4).saturating_sub(columns(title) + columns(&time)).max(2);
        let time = self.paint(Style::Dim, &format!("{:room$}{time}", ""));
        match outcome {
            Ok((value, facts)) => {
                (self.out)(&format!("{start}  {} {title}{time}\n", self.paint(Style::Good, "✓")));
                for line in wrapped(&facts, WIDTH - 4) {
                    (self.out)(&format!("    {}\n", self.paint(Style::Dim, &line)));
                }
                Ok(value)
            }
            Err(error) => {
                (self.out)(&format!("{start}  {} {title}{time}\n", self.paint(Style::Bad, "✗")));
                Err(error.context(title.to_owned()))
            }
        }
    }
}

/// Writes at once. Nobody may be reading any more; what was shown counts all the same.
fn put(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// A frame with lines in it.
#[derive(Default)]
pub(super) struct Board {
    lines: Vec<Vec<(Style, String)>>,
}

impl Board {
    /// Columns inside the frame.
    pub(super) const INSIDE: usize = WIDTH - 6;

    /// An empty line.
    pub(super) fn blank(&mut self) {
        self.lines.push(Vec::new());
    }

    /// A line of pieces.
    pub(super) fn line<const N: usize>(&mut self, pieces: [(Style, String); N]) {
        self.lines.push(pieces.into());
    }

    /// A label and what it says, in as many lines as it takes.
    pub(super) fn entry(&mut self, label: &str, text: &str) {
        for (nth, part) in wrapped(text, Self::INSIDE - LABEL).into_iter().enumerate() {
            let label = if nth == 0 { label } else { "" };
            self.line([(Style::Dim, format!("{label:LABEL$}")), (Style::Plain, part)]);
        }
    }

    /// The board with its frame.
    pub(super) fn drawn(&self, screen: Screen) -> String {
        let edge = |left, right| screen.paint(Style::River, &format!("{left}{}{right}", "─".repeat(WIDTH - 2)));
        let side = screen.paint(Style::River, "│");
        let mut text = edge("╭", "╮");
        for line in &self.lines {
            let taken: usize = line.iter().map(|(_, piece)| columns(piece)).sum();
            let inside: String = line.iter().map(|(style, piece)| screen.paint(*style, piece)).collect();
            text += &format!("\n{side}  {inside}{:1$}  {side}", "", Self::INSIDE.saturating_sub(taken));
        }
        text + "\n" + &edge("╰", "╯")
    }
}

/// Columns of a text. Everything that is shown here is one column wide.
pub(super) fn columns(text: &str) -> usize {
    text.chars().count()
}

/// A text cut to so many columns.
pub(super) fn cut(text: &str, room: usize) -> String {
    match columns(text) <= room {
        true => text.to_owned(),
        false => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// A text in lines of at most so many columns. A word that is longer has a line of its own.
pub(super) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if columns(line) + 1 + columns(word) <= room => *line += &format!(" {word}"),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// A number as people read it: `12,345`.
pub(super) fn number(value: impl TryInto<u64>) -> String {
    let digits = value.try_into().unwrap_or(u64::MAX).to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let parts: Vec<String> = Some(head.to_owned()).filter(|head| !head.is_empty()).into_iter().chain(groups).collect();
    parts.join(",")
}

/// A number of things: `1 row`, `2,000 rows`.
pub(super) fn many(value: usize, thing: &str) -> String {
    format!("{} {thing}{}", number(value), if value == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Screen = Screen { terminal: false, colour: false, out: |_| {} };

    #[test]
    fn numbers_are_grouped() {
        for (value, text) in [(0_u64, "0"), (7, "7"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(value), text);
        }
        assert_eq!((many(1, "row"), many(2_000, "row")), ("1 row".to_owned(), "2,000 rows".to_owned()));
    }

    #[test]
    fn lines_keep_to_the_room_they_have() {
        let text = "a receipt that a separate command verifies offline";
        let lines = wrapped(text, 17);
        assert!(lines.iter().all(|line| columns(line) <= 17), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(wrapped("", 10), Vec::<String>::new());
        assert_eq!((cut("Lindenhof", 6), cut("Linden", 6)), ("Linde…".to_owned(), "Linden".to_owned()));
    }

    #[test]
    fn a_board_is_a_rectangle() {
        let mut board = Board::default();
        board.line([(Style::Bold, "Größe".to_owned()), (Style::Plain, " und Maß".to_owned())]);
        board.blank();
        board.entry("fetched", &"many words ".repeat(20));
        let drawn = board.drawn(QUIET);
        assert!(drawn.lines().count() > 5);
        assert!(drawn.lines().all(|line| columns(line) == WIDTH), "{drawn}");
        assert!(!drawn.contains('\u{1b}'));
    }

    #[tokio::test]
    async fn a_step_hands_on_what_came_of_it() {
        assert_eq!(QUIET.step("adds", async { Ok((2, "1 and 1".to_owned())) }).await.unwrap(), 2);
        let failed = QUIET.step::<()>("divides", async { Err(anyhow::anyhow!("by nothing")) }).await.unwrap_err();
        assert_eq!(format!("{failed:#}"), "divides: by nothing");
    }
}
