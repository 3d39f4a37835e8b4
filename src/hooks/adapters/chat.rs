//! Chats: Slack, Microsoft Teams, Discord.

use serde_json::json;

use super::headline::{Headline, Severity};

/// Blocks, with the plain text for notifications
/// (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>).
pub(super) fn slack(headline: &Headline) -> String {
    let escaped = headline.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({
        "text": escaped,
        "blocks": [{ "type": "section", "text": { "type": "mrkdwn", "text": escaped } }],
    })
    .to_string()
}

/// A message card, which the connectors of Teams take.
pub(super) fn message_card(headline: &Headline) -> String {
    json!({
        "@type": "MessageCard",
        "@context": "https://schema.org/extensions",
        "themeColor": color(headline.severity),
        "summary": headline.text,
        "title": headline.app,
        "text": headline.text,
    })
    .to_string()
}

/// A message with an adaptive card, which the workflows of Teams take.
pub(super) fn adaptive_card(headline: &Headline) -> String {
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.2",
                "body": [{ "type": "TextBlock", "text": headline.text, "wrap": true }],
            },
        }],
    })
    .to_string()
}

/// Text that mentions nobody, whatever a description says.
pub(super) fn discord(headline: &Headline) -> String {
    json!({ "content": headline.text, "allowed_mentions": { "parse": [] } }).to_string()
}

fn color(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::Error => "C0392B",
        Severity::Info => "2E86C1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn headline() -> Headline {
        Headline { app: "a-b".to_owned(), text: "a-b: <@here> & co".to_owned(), severity: Severity::Info }
    }

    fn parsed(body: &str) -> Value {
        serde_json::from_str(body).unwrap()
    }

    #[test]
    fn slack_gets_escaped_blocks_and_discord_mentions_nobody() {
        let slack = parsed(&slack(&headline()));
        assert_eq!(slack["blocks"][0]["text"]["text"], "a-b: &lt;@here&gt; &amp; co");
        assert_eq!(slack["text"], "a-b: &lt;@here&gt; &amp; co");
        let discord = parsed(&discord(&headline()));
        assert_eq!(discord, json!({ "content": headline().text, "allowed_mentions": { "parse": [] } }));
    }

    #[test]
    fn teams_gets_cards() {
        let card = parsed(&message_card(&headline()));
        assert_eq!((&card["@type"], &card["text"]), (&json!("MessageCard"), &json!(headline().text)));
        let message = parsed(&adaptive_card(&headline()));
        let content = &message["attachments"][0]["content"];
        assert_eq!((&message["type"], &content["type"]), (&json!("message"), &json!("AdaptiveCard")));
        assert_eq!(content["body"][0]["text"], headline().text);
    }
}
