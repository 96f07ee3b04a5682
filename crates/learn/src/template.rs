//! [`Template`]: a text with the names of parameters in it.

use crate::naming::Params;

/// A text with holes for parameters.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Template {
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece {
    Text(String),
    /// A parameter, by its name in the vendor file.
    Hole(String),
}

impl Template {
    pub(crate) fn text(text: &str) -> Self {
        Self {
            pieces: vec![Piece::Text(text.to_owned())],
        }
    }

    pub(crate) fn hole(name: &str) -> Self {
        Self {
            pieces: vec![Piece::Hole(name.to_owned())],
        }
    }

    pub(crate) fn is_fixed(&self) -> bool {
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(_));
        self.pieces.iter().all(is_text)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Hole(known) if known == name))
    }

    /// As a vendor file writes it.
    pub(crate) fn written(&self) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.replace('{', "{{").replace('}', "}}"),
            Piece::Hole(name) => format!("{{{name}}}"),
        });
        pieces.collect()
    }

    /// With the values of the example.
    pub(crate) fn filled(&self, params: &Params) -> String {
        let pieces = self.pieces.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Hole(name) => params.sample(name),
        });
        pieces.collect()
    }
}
