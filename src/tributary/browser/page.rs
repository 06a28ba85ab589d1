//! A page as a person without a screen reads it: its heading, its links and its forms.
//!
//! This is a walker for plain pages, such as ours and those on which authorisation servers ask people to sign in:
//! well-formed tags, attributes in double quotes, no script. It is no HTML parser: what it does not understand it does not
//! see, and nothing that it reads is believed.

#[cfg(any(feature = "demo", test))]
use anyhow::Context as _;
use http::StatusCode;
use url::Url;

/// A page that a browser has arrived at.
pub(crate) struct Page {
    /// Where it is.
    pub(crate) url: Url,
    /// With what status it came.
    pub(crate) status: StatusCode,
    /// The addresses of the redirects that led to it, in order.
    pub(crate) through: Vec<Url>,
    /// The text of the page.
    pub(crate) html: String,
}

/// A form, with every control that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Form {
    /// Where it is sent, as the page writes it.
    pub(crate) action: String,
    /// Whether it is posted.
    pub(crate) posts: bool,
    /// Its controls in the order of the page.
    pub(crate) controls: Vec<Control>,
}

/// A control of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    /// Its name.
    pub(crate) name: String,
    /// Its value as the page has it.
    pub(crate) value: String,
    /// Whether it is sent as it stands: not an unticked box, and not a button that nobody has pressed.
    sent: bool,
    /// Whether it stands for one value: a box, a button.
    fixed: bool,
    button: bool,
}

impl Page {
    /// What the page says it is: its first heading.
    pub(crate) fn heading(&self) -> String {
        let heading = tags(&self.html).find(|tag| tag.name == "h1").and_then(|tag| tag.after.split("</h1>").next());
        heading.map(text_of).unwrap_or_default()
    }

    /// Every form of the page, in order.
    pub(crate) fn forms(&self) -> Vec<Form> {
        forms(&self.html)
    }
}

/// What somebody looks for who knows the page.
#[cfg(any(feature = "demo", test))]
impl Page {
    /// The first form that has controls of all these names.
    ///
    /// # Errors
    /// There is none; the error says where we are and what the page is called.
    pub(crate) fn form(&self, names: &[&str]) -> anyhow::Result<Form> {
        let fits = |form: &Form| names.iter().all(|name| form.has(name));
        forms(&self.html).into_iter().find(fits).with_context(|| format!("no form with {names:?} on {}", self.name()))
    }

    /// The form that is sent to this path.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn form_to(&self, path: &str) -> anyhow::Result<Form> {
        let mut forms = forms(&self.html).into_iter();
        forms.find(|form| form.action == path).with_context(|| format!("no form to {path} on {}", self.name()))
    }

    /// The target of the first link to this path.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn link(&self, path: &str) -> anyhow::Result<Url> {
        let targets = tags(&self.html).filter(|tag| tag.name == "a").filter_map(|tag| tag.attribute("href"));
        targets
            .filter_map(|target| self.url.join(&target).ok())
            .find(|target| target.path() == path)
            .with_context(|| format!("no link to {path} on {}", self.name()))
    }

    /// Where we are, for whoever must find out why.
    fn name(&self) -> String {
        format!("{} “{}” ({})", self.url.path(), self.heading(), self.status.as_u16())
    }

    /// How many tags of this name the page has.
    pub(crate) fn count(&self, name: &str) -> usize {
        tags(&self.html).filter(|tag| tag.name == name).count()
    }
}

impl Form {
    /// Whether there is a control of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.controls.iter().any(|control| control.name == name)
    }

    /// Those of the answers that the form asks for, with the first button pressed where none of them is one, as a person
    /// does who presses Enter (HTML §4.10.21.2, implicit submission).
    pub(crate) fn answered<'a>(&'a self, answers: &'a [(String, String)]) -> Vec<(&'a str, &'a str)> {
        let asks = |(name, value): &&(String, String)| {
            self.controls.iter().any(|control| control.name == *name && (!control.fixed || control.value == *value))
        };
        let mut chosen: Vec<_> = answers.iter().filter(asks).map(|(name, value)| (&**name, &**value)).collect();
        let mut buttons = self.controls.iter().filter(|control| control.button);
        let pressed = |control: &Control| chosen.iter().any(|(name, _)| *name == control.name);
        if let Some(first) = buttons.clone().next().filter(|_| !buttons.any(pressed)) {
            chosen.push((&first.name, &first.value));
        }
        chosen
    }

    /// What a browser sends: the controls as they stand, with these answers in place of their namesakes.
    ///
    /// # Errors
    /// An answer to something that the form does not ask.
    pub(crate) fn filled(&self, answers: &[(&str, &str)]) -> anyhow::Result<Vec<(String, String)>> {
        for (name, _) in answers {
            anyhow::ensure!(self.has(name), "the form at {} does not ask for {name}", self.action);
        }
        let untouched = |control: &&Control| control.sent && !answers.iter().any(|(name, _)| *name == control.name);
        let standing = self.controls.iter().filter(untouched).map(|c| (c.name.clone(), c.value.clone()));
        let given = answers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Ok(standing.chain(given).collect())
    }
}

fn forms(html: &str) -> Vec<Form> {
    tags(html)
        .filter(|tag| tag.name == "form")
        .map(|tag| {
            let inside = tag.after.split("</form>").next().unwrap_or_default();
            let action = tag.attribute("action").unwrap_or_default();
            let posts = tag.attribute("method").is_some_and(|method| method.eq_ignore_ascii_case("post"));
            Form { action, posts, controls: tags(inside).filter_map(|tag| tag.control()).collect() }
        })
        .collect()
}

/// One opening tag.
struct Tag<'h> {
    name: &'h str,
    attributes: &'h str,
    /// Everything behind it.
    after: &'h str,
}

impl Tag<'_> {
    /// The value of an attribute; empty for one that stands alone, such as `checked`.
    fn attribute(&self, wanted: &str) -> Option<String> {
        let mut rest = self.attributes.trim_start();
        while !rest.is_empty() {
            let name_end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(name_end);
            let (value, behind) = match behind.strip_prefix("=\"").and_then(|value| value.split_once('"')) {
                Some((value, behind)) => (value, behind),
                None => ("", behind.trim_start_matches('=')),
            };
            if name == wanted {
                return Some(unescaped(value));
            }
            rest = behind.trim_start();
        }
        None
    }

    fn control(&self) -> Option<Control> {
        let name = self.attribute("name")?;
        let kind = self.attribute("type").unwrap_or_default();
        let sent = match (self.name, kind.as_str()) {
            ("input", "checkbox" | "radio") => self.attribute("checked").is_some(),
            ("input", "submit") => false,
            ("input", _) => true,
            ("button", _) => false,
            _ => return None,
        };
        let button = self.name == "button" || kind == "submit";
        let fixed = button || matches!(kind.as_str(), "checkbox" | "radio");
        Some(Control { name, value: self.attribute("value").unwrap_or_default(), sent, fixed, button })
    }
}

/// The opening tags of a page, in order.
fn tags(html: &str) -> impl Iterator<Item = Tag<'_>> {
    let mut rest = html;
    std::iter::from_fn(move || {
        loop {
            let (_, behind) = rest.split_once('<')?;
            let (inside, after) = behind.split_at(end_of_tag(behind)?);
            rest = after;
            if inside.starts_with(|c: char| c.is_ascii_alphabetic()) {
                let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
                return Some(Tag { name, attributes, after: after.strip_prefix('>').unwrap_or(after) });
            }
        }
    })
}

/// Where the tag that has begun ends: at the first `>` outside quotes.
fn end_of_tag(inside: &str) -> Option<usize> {
    let mut quoted = false;
    inside.find(|c| {
        quoted ^= c == '"';
        c == '>' && !quoted
    })
}

/// The text between the tags, with one blank for any run of white space.
fn text_of(html: &str) -> String {
    let pieces: String = html.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect();
    unescaped(&pieces.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Text with its character references resolved: the ones that template engines write, named and numeric.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        plain.push_str(before);
        let resolved = behind.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        match resolved {
            Some((character, after)) => {
                plain.push(character);
                rest = after;
            }
            None => {
                plain.push('&');
                rest = behind;
            }
        }
    }
    plain + rest
}

fn character(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "nbsp" => Some(' '),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HTML: &str = r#"<!doctype html><h1 class="a > b">Tom &amp; <em>Jerry&#39;s</em>
        bank</h1>
        <a href="/my?x=1&amp;y=2">All</a>
        <form method="get" action="/search"><input name="q" value="a &quot;b&quot;"></form>
        <form method="post" action="/go">
        <input type="hidden" name="csrf" value="t0k">
        <input type="checkbox" name="account" value="1" checked><input type="checkbox" name="account" value="2">
        <input name="user" autofocus> <input type="password" name="password">
        <button name="decision" value="approve">Yes</button><button name="decision" value="deny">No</button>
        </form>"#;

    fn page() -> Page {
        let url = Url::parse("http://localhost:8080/link/consent").unwrap();
        Page { url, status: StatusCode::OK, through: Vec::new(), html: HTML.to_owned() }
    }

    fn pairs(filled: Vec<(String, String)>) -> String {
        filled.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_page_tells_its_heading_its_links_and_its_forms() {
        let page = page();
        assert_eq!(page.heading(), "Tom & Jerry's bank");
        assert_eq!(page.link("/my").unwrap().as_str(), "http://localhost:8080/my?x=1&y=2");
        assert!(page.link("/elsewhere").is_err());
        assert_eq!(page.form(&[]).unwrap().action, "/search");
        assert_eq!(page.form(&["decision", "csrf"]).unwrap().action, "/go");
        assert_eq!(page.form_to("/go").unwrap(), page.form(&["decision", "csrf"]).unwrap());
        assert!(page.form_to("/stop").is_err());
        assert_eq!(page.count("button"), 2);
        let error = page.form(&["csrf", "iban"]).unwrap_err().to_string();
        assert!(error.contains("/link/consent") && error.contains("iban"), "{error}");
    }

    #[test]
    fn a_form_sends_what_stands_and_what_was_answered() {
        let form = page().form(&["csrf"]).unwrap();
        assert_eq!(pairs(form.filled(&[]).unwrap()), "csrf=t0k account=1 user= password=");
        let answers = [("decision", "approve"), ("user", "mara"), ("account", "2")];
        assert_eq!(pairs(form.filled(&answers).unwrap()), "csrf=t0k password= decision=approve user=mara account=2");
        assert!(form.filled(&[("iban", "DE00")]).is_err());
        let search = page().form(&["q"]).unwrap();
        assert_eq!(pairs(search.filled(&[]).unwrap()), "q=a \"b\"");
    }

    #[test]
    fn of_many_answers_a_form_takes_what_it_asks_for() {
        let form = page().form(&["csrf"]).unwrap();
        let taken = |answers: &[(&str, &str)]| {
            let answers: Vec<_> = answers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            form.answered(&answers).iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(taken(&[]), "decision=approve");
        let many =
            [("user", "mara"), ("decision", "sign_in"), ("decision", "deny"), ("account", "2"), ("account", "9")];
        assert_eq!(taken(&many), "user=mara decision=deny account=2");
        assert!(form.posts && !page().form(&["q"]).unwrap().posts);
    }

    #[test]
    fn what_is_no_reference_stays_as_it_is() {
        for (text, plain) in
            [("a & b", "a & b"), ("&bogus;", "&bogus;"), ("&#xD800;", "&#xD800;"), ("&#228;", "ä"), ("&", "&")]
        {
            assert_eq!(unescaped(text), plain);
        }
    }
}
