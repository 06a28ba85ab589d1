//! How the pages of a product look: four colours that were checked, a name, a picture.
//!
//! A theme is data and never a style sheet: what reaches a browser is written here from numbers, so that nothing a product
//! says can be a rule of CSS. Whatever the colours are, every page can be read by day and by night (WCAG 2.2 AA); colours
//! that cannot keep this are refused when they are set.

use std::fmt::{self, Display};
use std::io::Cursor;
use std::str::FromStr;

use png::{Decoder, Encoder, Limits, Transformations};

/// Text on its ground (WCAG 2.2 §1.4.3), in hundredths.
const TEXT: u32 = 450;
/// Most that a picture may weigh, before and after.
pub const LOGO_BYTES_MAX: usize = 262_144;
/// Most that a picture may measure.
const LOGO_PIXELS_MAX: u32 = 2_048;
/// Memory that reading a picture may take.
const DECODING_BYTES_MAX: usize = 32 * 1_048_576;

/// A colour of sRGB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

/// Why a word is no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a colour is written like #0b5f79")]
pub struct NoColour;

impl FromStr for Colour {
    type Err = NoColour;

    fn from_str(text: &str) -> Result<Self, NoColour> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6).ok_or(NoColour)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(NoColour);
        }
        u32::from_str_radix(digits, 16).map(Self::from_number).map_err(|_| NoColour)
    }
}

impl Display for Colour {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{:06x}", self.number())
    }
}

impl Colour {
    const WHITE: Self = Self([255; 3]);
    const BLACK: Self = Self([0; 3]);

    /// 0xrrggbb; what is above 24 bits is left out.
    pub const fn from_number(number: u32) -> Self {
        let [_, red, green, blue] = number.to_be_bytes();
        Self([red, green, blue])
    }

    /// 0xrrggbb.
    pub const fn number(self) -> u32 {
        let [red, green, blue] = self.0;
        u32::from_be_bytes([0, red, green, blue])
    }

    /// So much of the other in a hundred parts.
    fn mixed(self, other: Self, percent: u16) -> Self {
        let channel = |at: usize| {
            let sum = u16::from(self.0[at]) * (100 - percent) + u16::from(other.0[at]) * percent;
            u8::try_from((sum + 50) / 100).unwrap_or(u8::MAX)
        };
        Self([channel(0), channel(1), channel(2)])
    }

    /// What can be read on it: white or black. One of the two always has more than 4.5 to 1.
    fn legible(self) -> Self {
        if contrast(Self::WHITE, self) >= contrast(Self::BLACK, self) { Self::WHITE } else { Self::BLACK }
    }
}

/// The contrast of two colours (WCAG 2.2, "contrast ratio"), in hundredths, rounded down: 100 to 2100.
#[expect(clippy::float_arithmetic, reason = "relative luminance is defined in real numbers; no money here")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the ratio is between 1 and 21")]
fn contrast(one: Colour, other: Colour) -> u32 {
    let linear = |channel: u8| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = |Colour([red, green, blue]): Colour| {
        0.2126f64.mul_add(linear(red), 0.7152f64.mul_add(linear(green), 0.0722 * linear(blue)))
    };
    let (a, b) = (luminance(one) + 0.05, luminance(other) + 0.05);
    (a.max(b) / a.min(b) * 100.0) as u32
}

/// The ground of our pages that no theme changes.
struct Ground {
    when: &'static str,
    paper: Colour,
    card: Colour,
}

/// As in `river.css`.
const DAY: Ground = Ground { when: "by day", paper: Colour([0xee, 0xf4, 0xf5]), card: Colour::WHITE };
const NIGHT: Ground = Ground { when: "by night", paper: Colour([0x0b, 0x15, 0x19]), card: Colour([0x13, 0x21, 0x27]) };

impl Ground {
    /// Behind what is set apart, in a shade of the accent.
    fn tint(&self, accent: Colour) -> Colour {
        self.card.mixed(accent, 10)
    }

    /// The ground on which an accent reads worst, if that is too faint for text.
    fn faint(&self, accent: Colour) -> Option<Faint> {
        let grounds = [self.paper, self.card, self.tint(accent)];
        let worst = grounds.into_iter().min_by_key(|ground| contrast(accent, *ground))?;
        let found = contrast(accent, worst);
        (found < TEXT).then_some(Faint { accent, when: self.when, ground: worst, found })
    }
}

/// An accent that cannot be read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faint {
    accent: Colour,
    when: &'static str,
    ground: Colour,
    found: u32,
}

impl Display for Faint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accent, when, ground, found } = self;
        write!(
            out,
            "{accent} is too faint for text {when}: {}.{:02} to 1 on {ground}, and WCAG 2.2 AA (1.4.3) asks for 4.5 to 1",
            found / 100,
            found % 100
        )
    }
}

impl std::error::Error for Faint {}

/// The colours of a theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    /// Behind the masthead, by day.
    pub masthead: Colour,
    /// Of links and of what is pressed, by day.
    pub accent: Colour,
    /// Behind the masthead, by night.
    pub masthead_dark: Colour,
    /// Of links and of what is pressed, by night.
    pub accent_dark: Colour,
}

impl Palette {
    /// A palette in which everything can be read. Without a word about the masthead it has the accent's colour; without one
    /// about the night the masthead is darker there, and the accent as much lighter as it takes.
    ///
    /// # Errors
    /// The accent that is too faint, and where.
    pub fn checked(
        accent: Colour,
        masthead: Option<Colour>,
        accent_dark: Option<Colour>,
        masthead_dark: Option<Colour>,
    ) -> Result<Self, Faint> {
        let masthead = masthead.unwrap_or(accent);
        let lighter = || (0..=100).step_by(4).map(|percent| accent.mixed(Colour::WHITE, percent));
        let lit = || lighter().find(|shade| NIGHT.faint(*shade).is_none()).unwrap_or(Colour::WHITE);
        let palette = Self {
            masthead,
            accent,
            masthead_dark: masthead_dark.unwrap_or_else(|| masthead.mixed(Colour::BLACK, 45)),
            accent_dark: accent_dark.unwrap_or_else(lit),
        };
        let faint = DAY.faint(palette.accent).or_else(|| NIGHT.faint(palette.accent_dark));
        faint.map_or(Ok(palette), Err)
    }

    /// The style sheet that follows ours: colours alone.
    pub fn css(&self) -> String {
        let day = rules(&DAY, self.accent, self.masthead);
        let night = rules(&NIGHT, self.accent_dark, self.masthead_dark);
        format!(":root {{{day} }}\n@media (prefers-color-scheme: dark) {{ :root {{{night} }} }}\n")
    }
}

fn rules(ground: &Ground, accent: Colour, masthead: Colour) -> String {
    let (on_primary, on_water) = (accent.legible(), masthead.legible());
    let away = |colour: Colour| if colour.legible() == Colour::WHITE { Colour::BLACK } else { Colour::WHITE };
    let towards = masthead.mixed(on_water, 18);
    // The streams run behind the steps' names, so they may not be drowned by them.
    let stream = if contrast(on_water, towards) >= TEXT { towards } else { masthead.mixed(away(masthead), 18) };
    let over = accent.mixed(away(accent), 20);
    [
        ("link", accent),
        ("primary", accent),
        ("on-primary", on_primary),
        ("primary-over", over),
        ("tint", ground.tint(accent)),
        ("water", masthead),
        ("stream", stream),
        ("on-water", on_water),
    ]
    .map(|(name, colour)| format!(" --{name}: {colour};"))
    .concat()
}

/// Why a picture cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NoLogo {
    /// Too many bytes.
    #[error("a picture may have {LOGO_BYTES_MAX} bytes at most")]
    Heavy,
    /// Too many pixels.
    #[error("a picture may measure {LOGO_PIXELS_MAX} pixels at most, each way")]
    Large,
    /// Not one of ours to read.
    #[error("the picture is no PNG that can be read")]
    Unreadable,
}

/// A picture that is nothing but pixels: read as PNG and written anew, so that nothing else that lay in the file is served.
///
/// # Errors
/// Says what is wrong with it.
pub fn logo(file: &[u8]) -> Result<Vec<u8>, NoLogo> {
    if file.len() > LOGO_BYTES_MAX {
        return Err(NoLogo::Heavy);
    }
    let mut decoder = Decoder::new_with_limits(Cursor::new(file), Limits { bytes: DECODING_BYTES_MAX });
    decoder.set_transformations(Transformations::normalize_to_color8());
    let unreadable = |_| NoLogo::Unreadable;
    let mut reader = decoder.read_info().map_err(unreadable)?;
    let (width, height) = (reader.info().width, reader.info().height);
    if width > LOGO_PIXELS_MAX || height > LOGO_PIXELS_MAX {
        return Err(NoLogo::Large);
    }
    let mut pixels = vec![0; reader.output_buffer_size().ok_or(NoLogo::Large)?];
    let shape = reader.next_frame(&mut pixels).map_err(unreadable)?;
    let mut written = Vec::new();
    let mut encoder = Encoder::new(&mut written, shape.width, shape.height);
    encoder.set_color(shape.color_type);
    encoder.set_depth(shape.bit_depth);
    let write = |error: png::EncodingError| {
        tracing::warn!(error = %error, "a picture could not be written");
        NoLogo::Unreadable
    };
    let mut writer = encoder.write_header().map_err(write)?;
    writer.write_image_data(&pixels[..shape.buffer_size()]).map_err(write)?;
    writer.finish().map_err(write)?;
    if written.len() > LOGO_BYTES_MAX { Err(NoLogo::Heavy) } else { Ok(written) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::tests::contrast::{PAIRS, ratio, schemes, values};
    use super::*;

    fn colour(text: &str) -> Colour {
        text.parse().unwrap()
    }

    #[test]
    fn a_colour_is_six_digits_and_nothing_else() {
        assert_eq!(colour("#0b5F79").to_string(), "#0b5f79");
        for bad in ["", "#", "0b5f79", "#0b5f7", "#0b5f799", "#+b5f79", "red", "#fff", "#0b5f79;}body{display:none"] {
            assert_eq!(bad.parse::<Colour>(), Err(NoColour), "{bad}");
        }
    }

    #[test]
    fn what_is_too_faint_is_refused_with_where_and_by_how_much() {
        let told = Palette::checked(colour("#ffd400"), None, None, None).unwrap_err().to_string();
        assert_eq!(
            told,
            "#ffd400 is too faint for text by day: 1.28 to 1 on #eef4f5, and WCAG 2.2 AA (1.4.3) asks for 4.5 to 1"
        );
        let night = Palette::checked(colour("#5b1fa6"), None, Some(colour("#5b1fa6")), None).unwrap_err();
        assert!(night.to_string().contains("by night"), "{night}");
        assert!(Palette::checked(colour("#5b1fa6"), None, None, None).is_ok());
    }

    #[test]
    fn the_grounds_are_those_of_our_style_sheet() {
        for (ground, ours) in [DAY, NIGHT].iter().zip(schemes()) {
            assert_eq!(ground.paper.to_string(), format!("#{}", ours["paper"]));
            assert_eq!(ground.card.to_string(), format!("#{}", ours["card"]));
        }
    }

    proptest! {
        /// Whatever is accepted can be read everywhere, as computed by somebody else from the style sheets.
        #[test]
        fn whatever_is_accepted_can_be_read(accent in 0u32..0x0100_0000, masthead in 0u32..0x0100_0000) {
            let (accent, masthead) = (Colour::from_number(accent), Colour::from_number(masthead));
            let accepted = Palette::checked(accent, Some(masthead), None, None);
            let dark = Palette::checked(accent.mixed(Colour::BLACK, 70), Some(masthead), None, None);
            for palette in [accepted, dark].into_iter().flatten() {
                let css = palette.css();
                let (day, night) = css.split_once("prefers-color-scheme: dark").unwrap();
                for (ours, theirs) in schemes().into_iter().zip([values(day), values(night)]) {
                    let worn = |name: &str| theirs.get(name).unwrap_or(&ours[name]).to_owned();
                    for (front, back, least) in PAIRS {
                        prop_assert!(ratio(worn(front), worn(back)) >= least, "{} on {}: {}", front, back, css);
                    }
                }
                let plain = |c: char| c.is_ascii_alphanumeric() || " #-:;{}()@\n".contains(c);
                prop_assert!(css.chars().all(plain), "{}", css);
            }
        }
    }

    /// A picture of one colour with a text beside its pixels.
    fn picture(width: u32, height: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Rgba);
        encoder.add_text_chunk("Comment".to_owned(), "<script>alert(1)</script>".to_owned()).unwrap();
        let mut writer = encoder.write_header().unwrap();
        let pixels = usize::try_from(width * height).unwrap();
        writer.write_image_data(&[91, 31, 166, 255].repeat(pixels)).unwrap();
        writer.finish().unwrap();
        file
    }

    #[test]
    fn a_picture_is_written_anew_without_what_lay_beside_its_pixels() {
        let mut file = picture(8, 8);
        file.extend(b"<html><script>alert(2)</script>");
        let holds = |bytes: &[u8]| bytes.windows(7).any(|window| window == b"<script");
        assert!(holds(&file));
        let ours = logo(&file).unwrap();
        assert!(!holds(&ours) && ours.starts_with(b"\x89PNG"));
        let mut reader = Decoder::new(Cursor::new(&ours)).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels, [91, 31, 166, 255].repeat(64));
    }

    #[test]
    fn pictures_that_are_none_too_large_or_too_heavy_are_refused() {
        assert!(matches!(logo(b"<svg onload='alert(1)'/>"), Err(NoLogo::Unreadable)));
        assert!(matches!(logo(&picture(8, 8)[..40]), Err(NoLogo::Unreadable)));
        assert!(matches!(logo(&picture(LOGO_PIXELS_MAX + 1, 1)), Err(NoLogo::Large)));
        assert!(matches!(logo(&vec![0; LOGO_BYTES_MAX + 1]), Err(NoLogo::Heavy)));
    }
}
