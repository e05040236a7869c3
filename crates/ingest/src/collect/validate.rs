//! Validation of an event. Pure: the time of receipt is an argument.

use footfall_model::clock::Micros;
use footfall_model::field::EventField;
use footfall_model::hash::derived_event_id;
use footfall_model::proto::Event;

use super::draft::Draft;
use super::options::CollectOptions;
use super::reject::Reject;
use super::time;

/// Returns the event with its time, id and time of receipt set, or its rejection.
pub(super) fn check(draft: Draft, options: &CollectOptions, received: Micros) -> Result<Box<Event>, Reject> {
    let (mut event, timestamp, sent_at) = draft.finish()?;
    for field in EventField::ALL {
        check_text(&mut event, *field)?;
    }
    check_country(&mut event)?;
    event.event_timestamp = time::event_time(received, timestamp, sent_at);
    time::check(event.event_timestamp, received, options.max_future, options.retention)?;
    event.created_at = received;
    if event.event_id.is_empty() {
        // Over the client's own timestamp, not the corrected one: the correction for clock skew differs when the same
        // event is sent again.
        event.event_id = derived_event_id(
            &event.tracking_id,
            &event.client_id,
            event.session_id.as_deref().unwrap_or_default(),
            timestamp.unwrap_or(event.event_timestamp),
            &event.event_type,
        );
    }
    Ok(event)
}

/// Checks a text field; fields of other types pass.
fn check_text(event: &mut Event, field: EventField) -> Result<(), Reject> {
    let spec = field.spec();
    let Some(text) = field.text(event) else {
        return Ok(());
    };
    if text.is_empty() {
        if spec.is_required() {
            return Err(Reject::invalid(field, "is missing").expected("a string that is not empty"));
        }
        if let Some(slot) = field.text_mut(event) {
            slot.clear();
        }
        return Ok(());
    }
    if let (Some(chars), Some(limit)) = (spec.excess_chars(text), spec.max_chars) {
        let reason = format!("has {chars} characters");
        return Err(Reject::invalid(field, reason).expected(format!("at most {limit} characters")));
    }
    if text.as_bytes().contains(&0) {
        return Err(Reject::invalid(field, "contains a NUL character"));
    }
    Ok(())
}

fn check_country(event: &mut Event) -> Result<(), Reject> {
    if let Some(country) = &mut event.country {
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(
                Reject::invalid(EventField::Country, format!("{country:?} is not a country code"))
                    .expected("two letters of ISO 3166-1, as US"),
            );
        }
        country.make_ascii_uppercase();
    }
    Ok(())
}
