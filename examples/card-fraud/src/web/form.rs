//! What the page sends, checked before anything is done with it.

use serde::{Deserialize, Serialize};

use crate::table::{AMOUNTS, FEATURE_NAMES, FEATURES, Purchase};
use crate::web::problem::Problem;

/// Greatest value of each amount that the page takes: half of the earth's circumference in kilometres, twice, and a
/// thousand times the usual price.
pub const GREATEST: [f64; AMOUNTS] = [20_000.0, 20_000.0, 1_000.0];

/// How much of a wrong value is repeated in a message.
const REPEATED: usize = 40;

/// A purchase as it was typed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    distance_from_home: String,
    distance_from_last_transaction: String,
    ratio_to_median_purchase_price: String,
    repeat_retailer: bool,
    used_chip: bool,
    used_pin_number: bool,
    online_order: bool,
}

/// A request about something that an earlier step has numbered.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numbered {
    /// The purchase's number.
    pub number: u64,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldProblem {
    /// The field's name.
    pub name: &'static str,
    /// A sentence for who has filled it in.
    pub message: String,
}

/// Reads a request's body.
///
/// # Errors
/// [`Problem::Unreadable`].
pub fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::Unreadable(error.to_string()))
}

impl Form {
    /// The purchase.
    ///
    /// # Errors
    /// [`Problem::Form`], with all fields that cannot be used.
    pub fn purchase(&self) -> Result<Purchase, Problem> {
        let amounts = [
            &self.distance_from_home,
            &self.distance_from_last_transaction,
            &self.ratio_to_median_purchase_price,
        ];
        let switches = [self.repeat_retailer, self.used_chip, self.used_pin_number, self.online_order];
        let mut purchase = [0.0; FEATURES];
        let mut problems = Vec::new();
        let places = purchase.iter_mut().zip(FEATURE_NAMES);
        for ((text, greatest), (place, name)) in amounts.into_iter().zip(GREATEST).zip(places) {
            match amount(text, greatest) {
                Ok(value) => *place = value,
                Err(message) => problems.push(FieldProblem { name, message }),
            }
        }
        for (place, switch) in purchase.iter_mut().skip(AMOUNTS).zip(switches) {
            *place = f64::from(u8::from(switch));
        }
        if problems.is_empty() { Ok(purchase) } else { Err(Problem::Form(problems)) }
    }
}

fn amount(text: &str, greatest: f64) -> Result<f64, String> {
    let text = text.trim();
    let shown: String = text.chars().take(REPEATED).collect();
    if text.is_empty() {
        return Err("Please fill this in.".to_owned());
    }
    let value: f64 = match text.parse() {
        Ok(value) => value,
        Err(_) if text.contains(',') && text.replace(',', ".").parse::<f64>().is_ok() => {
            return Err(format!("Please write “{}”, with a point.", shown.replace(',', ".")));
        }
        Err(_) => return Err(format!("“{shown}” is not a number.")),
    };
    if !value.is_finite() {
        Err(format!("“{shown}” is not a number that can be used."))
    } else if value < 0.0 {
        Err("This cannot be negative.".to_owned())
    } else if value > greatest {
        Err(format!("This can be at most {greatest}."))
    } else {
        // Without the sign of a negative zero.
        Ok(value.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(amounts: [&str; 3]) -> Form {
        let [home, last, ratio] = amounts;
        let text = serde_json::json!({
            "distance_from_home": home, "distance_from_last_transaction": last,
            "ratio_to_median_purchase_price": ratio, "repeat_retailer": true, "used_chip": false,
            "used_pin_number": false, "online_order": true,
        });
        read(text.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn what_was_typed_becomes_a_purchase_in_the_models_order() {
        let purchase = form([" 12.5", "0", "1e1"]).purchase().unwrap();
        assert_eq!(purchase, [12.5, 0.0, 10.0, 1.0, 0.0, 0.0, 1.0]);
        let ends = GREATEST.map(|greatest| greatest.to_string());
        assert!(form(ends.each_ref().map(String::as_str)).purchase().is_ok());
        assert!(form(["-0", "0", "0"]).purchase().unwrap()[0].is_sign_positive());
    }

    #[test]
    fn every_wrong_field_is_named_in_plain_words() {
        let Err(Problem::Form(problems)) = form(["", "-3", "20 kg"]).purchase() else { panic!() };
        let named: Vec<_> = problems.iter().map(|problem| (problem.name, &*problem.message)).collect();
        assert_eq!(
            named,
            [
                (FEATURE_NAMES[0], "Please fill this in."),
                (FEATURE_NAMES[1], "This cannot be negative."),
                (FEATURE_NAMES[2], "“20 kg” is not a number."),
            ]
        );
        let message = |text: &str| amount(text, 1_000.0).unwrap_err();
        assert_eq!(message("12,5"), "Please write “12.5”, with a point.");
        assert_eq!(message("1000.01"), "This can be at most 1000.");
        assert_eq!(message("1e999"), "“1e999” is not a number that can be used.");
        assert_eq!(message("NaN"), "“NaN” is not a number that can be used.");
        assert!(message(&"x".repeat(1_000)).chars().count() < 70);
    }

    #[test]
    fn other_bodies_are_not_read() {
        for body in
            ["", "[]", "{\"number\": -1}", "{\"number\": 1, \"more\": 2}", "{\"number\": 1} x", "\u{0}"]
        {
            assert!(matches!(read::<Numbered>(body.as_bytes()), Err(Problem::Unreadable(_))), "{body}");
        }
        assert_eq!(read::<Numbered>(b" {\"number\": 7}").unwrap().number, 7);
        assert!(matches!(read::<Form>(b"{\"distance_from_home\": 3}"), Err(Problem::Unreadable(_))));
    }
}
