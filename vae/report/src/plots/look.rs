//! What tells curves apart: colours, dashes and markers.

use plotters::element::DashedPathElement;
use plotters::prelude::*;

/// Okabe and Ito's palette, made to be told apart by colour-blind eyes; without its yellow, which white paper swallows.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// How the curves of one name are drawn.
pub(super) struct Look<'a> {
    pub(super) name: &'a str,
    pub(super) colour: RGBColor,
    dashed: bool,
}

/// One look for every name, in order of first appearance; what the model is fitted to is dashed.
pub(super) fn looks<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Look<'a>> {
    let mut looks: Vec<Look> = Vec::new();
    for name in names {
        if looks.iter().all(|look| look.name != name) {
            looks.push(Look { name, colour: PALETTE[looks.len() % PALETTE.len()], dashed: name == "train" });
        }
    }
    looks
}

impl Look<'_> {
    /// A line through all points, in the coordinates of the area.
    pub(super) fn draw_line<DB, C>(&self, area: &DrawingArea<DB, C>, points: &[C::From]) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        C: CoordTranslate<From: Clone + 'static>,
    {
        let style = self.colour.stroke_width(2);
        if self.dashed {
            area.draw(&DashedPathElement::new(points.iter().cloned(), 6, 4, style))
        } else {
            area.draw(&PathElement::new(points, style))
        }
    }

    /// Dots, or rings with a white inside where the line is dashed.
    pub(super) fn draw_markers<DB, C>(&self, area: &DrawingArea<DB, C>, points: &[C::From]) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        C: CoordTranslate<From: Clone + 'static>,
    {
        for point in points {
            area.draw(&Circle::new(point.clone(), 4, self.colour.filled()))?;
            if self.dashed {
                area.draw(&Circle::new(point.clone(), 2, WHITE.filled()))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_look_and_names_differ_in_colour_while_the_palette_lasts() {
        let looks = looks(["train", "test", "train", "test"]);
        let seen: Vec<_> = looks.iter().map(|look| (look.name, look.colour, look.dashed)).collect();
        assert_eq!(seen, [("train", PALETTE[0], true), ("test", PALETTE[1], false)]);
    }

    #[test]
    fn more_names_than_colours_start_the_palette_again() {
        let names: Vec<String> = (0..=PALETTE.len()).map(|i| i.to_string()).collect();
        assert_eq!(looks(names.iter().map(String::as_str))[PALETTE.len()].colour, PALETTE[0]);
    }
}
