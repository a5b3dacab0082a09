//! A list of texts in one piece of memory.

/// Texts one after the other: one of no length takes the four bytes that say where it ends, and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    all: String,
    ends: Vec<u32>,
}

impl Texts {
    /// Adds a text. All together are of one frame, and so below 4 GiB.
    pub fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that they take.
    pub fn holds(&self) -> usize {
        self.all.len() + size_of_val(&self.ends[..])
    }

    /// The text of a number.
    pub fn get(&self, number: usize) -> Option<&str> {
        let end = *self.ends.get(number)? as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        self.all.get(start..end)
    }

    /// The first text.
    pub fn first(&self) -> Option<&str> {
        self.get(0)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|number| self.get(number).unwrap_or_default())
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(texts: I) -> Self {
        let mut all = Self::default();
        texts.into_iter().for_each(|text| all.push(text));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::Texts;

    #[test]
    fn texts_come_back_in_order_and_empty_ones_count() {
        let texts: Texts = ["", "a", "", "\u{e9}t\u{e9}", ""].into_iter().collect();
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["", "a", "", "\u{e9}t\u{e9}", ""]);
        assert_eq!(
            (texts.len(), texts.first(), texts.get(3), texts.get(5)),
            (5, Some(""), Some("\u{e9}t\u{e9}"), None)
        );
        assert!(!texts.is_empty() && Texts::default().is_empty());
    }
}
