//! Where somebody finds help, by country: the numbers of `data/resources.toml`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::payload::CountryCode;

static DATA: LazyLock<Data> = LazyLock::new(|| {
    serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/resources.json"))).expect("the build has read it")
});

#[derive(Deserialize)]
struct Data {
    place: Vec<Resources>,
}

/// Where help is found in one place.
#[derive(Debug, Deserialize)]
pub struct Resources {
    /// What the place is called.
    pub name: String,
    countries: Vec<String>,
    emergency: Resource,
    listening: Resource,
    eating: Resource,
    abuse: Resource,
    child: Resource,
    doctor: Resource,
    silently: Resource,
}

#[derive(Debug, Deserialize)]
struct Resource {
    say: String,
}

// === impl Resources ===

impl Resources {
    /// What is there in a country; what holds everywhere, where it is not known.
    pub fn of(country: Option<CountryCode>) -> &'static Self {
        let is_there =
            |place: &&Self| country.is_some_and(|country| place.countries.iter().any(|code| code == country.as_str()));
        let places = &DATA.place;
        // The last place is everywhere.
        places.iter().find(is_there).unwrap_or(&places[places.len() - 1])
    }

    /// Every place there is data of.
    pub fn all() -> &'static [Self] {
        &DATA.place
    }

    /// A text with its `{emergency}`, `{listening}` and the others filled in. What would begin a sentence with a
    /// small letter gets a capital.
    pub fn fill_in(&self, text: &str) -> String {
        let words = [
            ("{emergency}", &self.emergency),
            ("{listening}", &self.listening),
            ("{eating}", &self.eating),
            ("{abuse}", &self.abuse),
            ("{child}", &self.child),
            ("{doctor}", &self.doctor),
            ("{silently}", &self.silently),
        ];
        let mut filled = String::with_capacity(text.len() * 2);
        let mut rest = text;
        while let Some(place) = rest.find('{') {
            filled.push_str(&rest[..place]);
            rest = &rest[place..];
            let Some((mark, resource)) = words.iter().find(|(mark, _)| rest.starts_with(mark)) else {
                filled.push('{');
                rest = &rest[1..];
                continue;
            };
            let begins_sentence = filled.is_empty() || filled.ends_with(". ") || filled.ends_with("? ");
            push(&mut filled, &resource.say, begins_sentence);
            rest = &rest[mark.len()..];
        }
        filled + rest
    }
}

fn push(text: &mut String, words: &str, begins_sentence: bool) {
    let mut letters = words.chars();
    match letters.next() {
        Some(first) if begins_sentence => text.extend(first.to_uppercase()),
        Some(first) => text.push(first),
        None => {}
    }
    text.push_str(letters.as_str());
}
