//! Names of containers: what is allowed, and made-up ones.

use crate::Result;
use crate::record::random_bytes;

/// Returns whether docker would take this as a name of a container or volume.
pub(crate) fn is_valid(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() >= 2
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Returns a name in docker's style: an adjective and the surname of a scientist or engineer.
pub(crate) fn generate() -> Result<String> {
    let mut bytes = [0; 4];
    random_bytes(&mut bytes)?;
    Ok(format!("{}_{}", pick(ADJECTIVES, &bytes[..2]), pick(SURNAMES, &bytes[2..])))
}

fn pick(list: &'static [&'static str], random: &[u8]) -> &'static str {
    let number = random.iter().fold(0, |sum, byte| sum * 256 + usize::from(*byte));
    list[number % list.len()]
}

#[rustfmt::skip]
const ADJECTIVES: &[&str] = &[
    "admiring", "agile", "amazing", "awesome", "blissful", "bold", "brave", "bright", "busy",
    "calm", "charming", "clever", "cool", "cranky", "crisp", "dazzling", "determined", "dreamy",
    "eager", "earnest", "elastic", "elegant", "eloquent", "epic", "exciting", "fervent",
    "festive", "focused", "friendly", "frosty", "gallant", "gentle", "gifted", "glad", "goofy",
    "gracious", "great", "happy", "hardy", "heuristic", "hopeful", "hungry", "infallible",
    "inspiring", "intelligent", "jolly", "jovial", "keen", "kind", "laughing", "lively",
    "loving", "lucid", "magical", "modest", "musing", "mystifying", "naughty", "nice", "nifty",
    "nimble", "nostalgic", "objective", "optimistic", "patient", "peaceful", "pensive",
    "practical", "priceless", "quick", "quiet", "quirky", "quizzical", "relaxed", "reverent",
    "romantic", "serene", "sharp", "silly", "sleepy", "stoic", "strange", "sturdy", "sunny",
    "sweet", "swift", "tender", "thirsty", "trusting", "upbeat", "vibrant", "vigilant",
    "vigorous", "warm", "wise", "wizardly", "wonderful", "youthful", "zealous", "zen",
];

#[rustfmt::skip]
const SURNAMES: &[&str] = &[
    "archimedes", "aryabhata", "babbage", "banach", "bardeen", "bartik", "bell", "bhabha",
    "bohr", "boole", "booth", "borg", "bose", "brahmagupta", "brown", "carson", "cartwright",
    "chandrasekhar", "chaplygin", "clarke", "cori", "cray", "curie", "curran", "darwin",
    "davinci", "diffie", "dijkstra", "dirac", "easley", "edison", "einstein", "elion",
    "engelbart", "euclid", "euler", "faraday", "fermat", "fermi", "feynman", "franklin",
    "galileo", "galois", "gates", "gauss", "germain", "goldberg", "goldstine", "goodall",
    "hamilton", "haslett", "hawking", "heisenberg", "hellman", "hermann", "herschel", "hertz",
    "hodgkin", "hoover", "hopper", "hypatia", "jackson", "jang", "jemison", "jennings",
    "johnson", "joliot", "jones", "kalam", "kapitsa", "keldysh", "keller", "kepler", "khorana",
    "kilby", "knuth", "kowalevski", "lalande", "lamarr", "lamport", "leakey", "leavitt",
    "lederberg", "lehmann", "liskov", "lovelace", "lumiere", "mahavira", "maxwell", "mayer",
    "mccarthy", "mcclintock", "mclean", "meitner", "mendel", "mendeleev", "merkle",
    "mirzakhani", "moore", "morse", "moser", "murdock", "napier", "nash", "neumann", "newton",
    "nightingale", "nobel", "noether", "northcutt", "noyce", "panini", "pare", "pascal",
    "pasteur", "payne", "perlman", "pike", "poincare", "poitras", "proskuriakova", "ptolemy",
    "raman", "ramanujan", "rhodes", "ride", "ritchie", "robinson", "roentgen", "rosalind",
    "rubin", "saha", "sammet", "satoshi", "shamir", "shannon", "shaw", "shirley", "shockley",
    "shtern", "sinoussi", "snyder", "solomon", "spence", "stonebraker", "sutherland", "swanson",
    "swartz", "swirles", "taussig", "tesla", "tharp", "thompson", "torvalds", "turing",
    "varahamihira", "villani", "visvesvaraya", "volhard", "wescoff", "wilbur", "wiles",
    "williams", "wilson", "wing", "wozniak", "wright", "wu", "yalow", "yonath", "zhukovsky",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_names_are_valid() {
        for _ in 0..64 {
            let name = generate().unwrap();
            assert!(is_valid(&name), "{name}");
            assert!(name.contains('_'), "{name}");
        }
    }

    #[test]
    fn names_are_docker_names() {
        for (name, want) in [
            ("web", true),
            ("Web-1.a_b", true),
            ("w", false),
            ("", false),
            ("-web", false),
            ("a/b", false),
            ("../x", false),
            ("wéb", false),
        ] {
            assert_eq!(is_valid(name), want, "{name}");
        }
    }
}
