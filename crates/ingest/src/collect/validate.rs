//! Whether an event may be stored. Pure: the time of receipt is an argument.

use footfall_model::clock::Micros;
use footfall_model::hash::derived_event_id;
use footfall_model::proto::Event;

use super::draft::Draft;
use super::field::Field;
use super::options::{CollectOptions, TextLimits};
use super::reject::Reject;
use super::time;

const TEXTS: [Field; 21] = [
    Field::TrackingId,
    Field::ClientId,
    Field::EventType,
    Field::SessionId,
    Field::EventId,
    Field::UserId,
    Field::PageUrl,
    Field::PageTitle,
    Field::Referrer,
    Field::UtmSource,
    Field::UtmMedium,
    Field::UtmCampaign,
    Field::UtmTerm,
    Field::UtmContent,
    Field::Country,
    Field::City,
    Field::Device,
    Field::Browser,
    Field::Os,
    Field::Source,
    Field::Channel,
];

/// The event with its time, its id and its time of receipt, or why not.
pub(super) fn check(draft: Draft, options: &CollectOptions, received: Micros) -> Result<Box<Event>, Reject> {
    let (mut event, timestamp, sent_at) = draft.finish()?;
    for field in TEXTS {
        check_text(&mut event, field, &options.text)?;
    }
    check_country(&mut event)?;
    event.event_timestamp = time::event_time(received, timestamp, sent_at);
    time::check(event.event_timestamp, received, options.max_future, options.retention)?;
    event.created_at = received;
    if event.event_id.is_empty() {
        // Over what the client sent, not over what the server made of it: the correction for clock skew and the
        // assigned session come out differently when the same event is sent again.
        event.event_id = derived_event_id(
            &event.tracking_id,
            &event.client_id,
            &event.session_id,
            timestamp.unwrap_or(event.event_timestamp),
            &event.event_type,
        );
    }
    Ok(event)
}

fn check_text(event: &mut Event, field: Field, limits: &TextLimits) -> Result<(), Reject> {
    let Some(slot) = field.slot(event) else {
        return Ok(());
    };
    let Some(text) = slot.get() else {
        return Ok(());
    };
    if text.is_empty() {
        if matches!(field, Field::TrackingId | Field::ClientId | Field::EventType) {
            return Err(Reject::invalid(field, "is missing").expected("a string that is not empty"));
        }
        slot.clear_if_empty();
        return Ok(());
    }
    let limit = longest(field, limits);
    // Bytes are never fewer than characters, and mostly as many.
    if text.len() > limit {
        let length = text.chars().count();
        if length > limit {
            let reason = format!("has {length} characters");
            return Err(Reject::invalid(field, reason).expected(format!("at most {limit} characters")));
        }
    }
    if text.as_bytes().contains(&0) {
        return Err(Reject::invalid(field, "contains a NUL character"));
    }
    Ok(())
}

fn longest(field: Field, limits: &TextLimits) -> usize {
    match field {
        Field::TrackingId | Field::EventType => limits.name,
        Field::ClientId | Field::SessionId | Field::EventId | Field::UserId => limits.id,
        Field::PageUrl => limits.url,
        Field::Referrer => limits.referrer,
        Field::PageTitle => limits.title,
        Field::UtmSource | Field::UtmMedium | Field::UtmCampaign | Field::UtmTerm | Field::UtmContent => limits.utm,
        // `source` may be a `utm_source`.
        Field::Source => limits.utm,
        _ => limits.label,
    }
}

fn check_country(event: &mut Event) -> Result<(), Reject> {
    if let Some(country) = &mut event.country {
        if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_alphabetic()) {
            return Err(
                Reject::invalid(Field::Country, format!("{country:?} is not a country code"))
                    .expected("two letters of ISO 3166-1, as US"),
            );
        }
        country.make_ascii_uppercase();
    }
    Ok(())
}
