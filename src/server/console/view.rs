//! What a page of the console consists of. Pages are values; one template draws them all, and askama escapes whatever
//! they carry.

use askama::Template;

/// How something stands, for the eye; the words beside it say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Good,
    /// Wants somebody's attention.
    Wait,
    /// Is broken.
    Bad,
    /// Neither.
    Quiet,
}

impl Tone {
    /// The class in the style sheet.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Wait => "wait",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}

/// A piece of text in a table or a list of facts.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    /// What it says.
    pub(super) text: String,
    /// Where it leads; a path of ours.
    pub(super) href: Option<String>,
    /// How it stands.
    pub(super) tone: Option<Tone>,
    /// Whether it is an id or another string of signs.
    pub(super) code: bool,
    /// What can be done with its row.
    pub(super) form: Option<Form>,
}

impl Cell {
    /// Plain text.
    pub(super) fn text(text: impl ToString) -> Self {
        Self { text: text.to_string(), ..Self::default() }
    }

    /// Nothing there.
    pub(super) fn none() -> Self {
        Self::text("–")
    }

    /// Text, or nothing there.
    pub(super) fn maybe(text: Option<impl ToString>) -> Self {
        text.map_or_else(Self::none, Self::text)
    }

    /// An id.
    pub(super) fn code(text: impl ToString) -> Self {
        Self { code: true, ..Self::text(text) }
    }

    /// How something stands.
    pub(super) fn badge(tone: Tone, text: impl ToString) -> Self {
        Self { tone: Some(tone), ..Self::text(text) }
    }

    /// A button.
    pub(super) fn form(form: Form) -> Self {
        Self { form: Some(form), ..Self::default() }
    }

    /// The same, leading somewhere.
    pub(super) fn to(self, path: impl Into<String>) -> Self {
        Self { href: Some(path.into()), ..self }
    }
}

/// One field of a form.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it asks for.
    pub(super) label: &'static str,
    /// `text`, `number`, `date`; `select` where there are choices; `hidden`.
    pub(super) kind: &'static str,
    /// What is in it.
    pub(super) value: String,
    /// Choices: value and words.
    pub(super) choices: Vec<(String, String)>,
    /// Whether it may be left empty.
    pub(super) optional: bool,
    /// Longest text, in characters.
    pub(super) longest: usize,
}

impl Field {
    /// A line of text.
    pub(super) fn text(name: &'static str, label: &'static str, longest: usize) -> Self {
        Self { name, label, kind: "text", value: String::new(), choices: Vec::new(), optional: false, longest }
    }

    /// A choice.
    pub(super) fn choice(name: &'static str, label: &'static str, choices: Vec<(String, String)>) -> Self {
        Self { kind: "select", choices, ..Self::text(name, label, 0) }
    }

    /// What the form says without asking.
    pub(super) fn hidden(name: &'static str, value: impl ToString) -> Self {
        Self { kind: "hidden", value: value.to_string(), ..Self::text(name, "", 0) }
    }

    /// Of another kind of input.
    pub(super) fn of(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    /// With something in it.
    pub(super) fn with(self, value: impl ToString) -> Self {
        Self { value: value.to_string(), ..self }
    }

    /// May be left empty.
    pub(super) fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A form.
#[derive(Debug, Clone)]
pub(super) struct Form {
    /// What begins the ids of its fields; unlike that of any other form of the page.
    pub(super) id: String,
    /// Where it is sent; a path of ours.
    pub(super) action: String,
    /// Whether it changes something; a question is sent by GET.
    pub(super) post: bool,
    /// The anti-forgery token of the session.
    pub(super) csrf: Option<String>,
    /// Its fields.
    pub(super) fields: Vec<Field>,
    /// What the button says.
    pub(super) button: String,
    /// Whether it cannot be undone.
    pub(super) danger: bool,
}

/// A figure with its words.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    /// The figure.
    pub(super) figure: String,
    /// What it counts.
    pub(super) label: String,
    /// Where to look.
    pub(super) href: Option<String>,
    /// How it stands.
    pub(super) tone: Tone,
}

/// A chart of columns, drawn in a box of 720 by 160.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    /// What it shows, in one sentence, for those who do not see it.
    pub(super) label: String,
    /// The columns.
    pub(super) columns: Vec<Column>,
    /// Words below, with their place from the left.
    pub(super) ticks: Vec<(i64, String)>,
    /// What the full height is.
    pub(super) top: String,
}

/// One column, in two parts: what stands below, and what is set on it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// From the left.
    pub(super) x: i64,
    /// Its width.
    pub(super) width: i64,
    /// Height of the lower part.
    pub(super) lower: i64,
    /// Height of the upper part.
    pub(super) upper: i64,
    /// What it says to whoever points at it.
    pub(super) title: String,
}

/// A part of a section.
#[derive(Debug, Clone)]
pub(super) enum Block {
    /// Rows under a head. The words stand there where there is none.
    Table { caption: String, head: Vec<&'static str>, rows: Vec<Vec<Cell>>, none: &'static str },
    /// Names and what they are.
    Facts(Vec<(String, Cell)>),
    /// Figures.
    Tiles(Vec<Tile>),
    /// A chart.
    Chart(Chart),
    /// A form.
    Form(Form),
    /// A sentence that stands out.
    Note(Tone, String),
    /// Text as it is.
    Plain(String),
}

/// A part of a page.
#[derive(Debug, Clone)]
pub(super) struct Section {
    /// Its heading.
    pub(super) heading: String,
    /// What it holds.
    pub(super) blocks: Vec<Block>,
}

impl Section {
    /// A section.
    pub(super) fn new(heading: impl ToString, blocks: Vec<Block>) -> Self {
        Self { heading: heading.to_string(), blocks }
    }
}

/// One entry of the navigation.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Where it leads.
    pub(super) href: &'static str,
    /// What it is called.
    pub(super) label: &'static str,
    /// Whether it is this page.
    pub(super) here: bool,
}

/// Who looks at a page.
#[derive(Debug, Clone)]
pub(super) struct Viewer {
    /// What they are called.
    pub(super) name: String,
    /// Their roles, in words.
    pub(super) roles: String,
    /// For the form that signs them out.
    pub(super) csrf: String,
    /// Where they may go.
    pub(super) places: Vec<Place>,
}

/// A page.
#[derive(Debug, Clone, Template)]
#[template(path = "console.html")]
pub(super) struct Page {
    /// Its heading.
    pub(super) heading: String,
    /// One sentence below it.
    pub(super) lead: String,
    /// Who looks; nobody before the login.
    pub(super) viewer: Option<Viewer>,
    /// What it holds.
    pub(super) sections: Vec<Section>,
}

impl Page {
    /// Where its style lies.
    fn style(&self) -> &'static str {
        crate::pages::console_style()
    }

    /// Where its sign lies.
    fn icon(&self) -> &'static str {
        crate::pages::icon()
    }

    /// As HTML.
    pub(super) fn draw(&self) -> String {
        self.render().expect("templates hold strings alone, and writing a string to a string cannot fail")
    }
}
