//! Access rules in the syntax of Mosquitto's `acl_file`.
//!
//! ```text
//! topic read public/#                 # for clients without a user name
//! user alice
//! topic readwrite plant/+/state       # for alice
//! topic deny plant/secret/state
//! pattern write device/%c/up          # for everybody, with their client id
//! ```
//!
//! What no rule allows is denied, and `deny` wins. A name or client id with `+`, `#` or `/` is never
//! put into a pattern: it would choose topics for itself.

use std::collections::BTreeMap;

use ha_types::{InvalidTopic, TopicFilter};

use super::{Access, Action, Identity};

/// Rules in a file: as many as a file of some megabytes has.
const RULES_MAX: usize = 100_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Acl {
    anonymous: Vec<Rule>,
    users: BTreeMap<Box<str>, Vec<Rule>>,
    patterns: Vec<Pattern>,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {problem}")]
pub struct AclError {
    file: String,
    line: usize,
    problem: Problem,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("expected user, topic or pattern")]
    Keyword,
    #[error("expected a user name")]
    NoUser,
    #[error("expected a topic filter")]
    NoTopic,
    #[error("topic filter: {0}")]
    Topic(InvalidTopic),
    #[error("more than 100,000 rules")]
    TooMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Right {
    Read,
    Write,
    ReadWrite,
    Deny,
}

#[derive(Clone, Debug)]
struct Rule {
    right: Right,
    filter: TopicFilter,
}

#[derive(Clone, Debug)]
struct Pattern {
    right: Right,
    text: Box<str>,
}

/// What the rules so far say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    Open,
    Allowed,
    Denied,
}

impl Acl {
    /// Reads the text of a file; `file` is for errors.
    ///
    /// # Errors
    /// [`AclError`] for the first line that is not understood.
    pub fn parse(file: &str, text: &str) -> Result<Self, AclError> {
        let mut acl = Self::default();
        let mut user: Option<Box<str>> = None;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (at, line) in text.lines().enumerate() {
            let taken =
                if at < RULES_MAX { acl.take(line, &mut user) } else { Err(Problem::TooMany) };
            let error = |problem| AclError { file: file.to_owned(), line: at + 1, problem };
            taken.map_err(error)?;
        }
        Ok(acl)
    }

    fn take(&mut self, line: &str, user: &mut Option<Box<str>>) -> Result<(), Problem> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (keyword, rest) = split_word(line);
        match keyword {
            "user" if rest.is_empty() => Err(Problem::NoUser),
            "user" => {
                *user = Some(rest.into());
                Ok(())
            }
            "topic" => {
                let (right, topic) = right_and_topic(rest)?;
                let filter = TopicFilter::parse(topic.as_bytes()).map_err(Problem::Topic)?;
                let rules = match user {
                    Some(name) => self.users.entry(name.clone()).or_default(),
                    None => &mut self.anonymous,
                };
                rules.push(Rule { right, filter });
                Ok(())
            }
            "pattern" => {
                let (right, topic) = right_and_topic(rest)?;
                let sample = topic.replace("%c", "c").replace("%u", "u");
                TopicFilter::parse(sample.as_bytes()).map_err(Problem::Topic)?;
                self.patterns.push(Pattern { right, text: topic.into() });
                Ok(())
            }
            _ => Err(Problem::Keyword),
        }
    }

    fn rules_of(&self, who: &Identity) -> &[Rule] {
        match &who.user_name {
            None => &self.anonymous,
            Some(name) => self.users.get(&**name).map_or(&[], Vec::as_slice),
        }
    }

    /// All rules that concern a client; those of patterns are made for it.
    fn decide(&self, who: &Identity, judge: impl Fn(&Rule) -> Decision) -> bool {
        let mut decision = Decision::Open;
        let mut take = |rule: &Rule| {
            decision = match (judge(rule), decision) {
                (Decision::Denied, _) | (_, Decision::Denied) => Decision::Denied,
                (Decision::Allowed, _) | (_, Decision::Allowed) => Decision::Allowed,
                (Decision::Open, Decision::Open) => Decision::Open,
            };
        };
        self.rules_of(who).iter().for_each(&mut take);
        self.patterns.iter().filter_map(|pattern| pattern.of(who)).for_each(|rule| take(&rule));
        decision == Decision::Allowed
    }
}

impl Access for Acl {
    /// A topic filter is refused only when nothing that it matches could be received: deliveries are
    /// asked for one by one.
    fn allows(&self, who: &Identity, action: Action<'_>) -> bool {
        match action {
            Action::Publish(topic) => self.decide(who, |rule| rule.topic(topic, Right::Write)),
            Action::Receive(topic) => self.decide(who, |rule| rule.topic(topic, Right::Read)),
            Action::Subscribe(filter) => match TopicFilter::parse(filter.as_bytes()) {
                Ok(filter) => self.decide(who, |rule| rule.filter(&filter)),
                Err(_) => false,
            },
        }
    }
}

impl Rule {
    fn topic(&self, topic: &str, wanted: Right) -> Decision {
        if !self.filter.matches_text(topic) {
            return Decision::Open;
        }
        match self.right {
            Right::Deny => Decision::Denied,
            right if right == wanted || right == Right::ReadWrite => Decision::Allowed,
            Right::Read | Right::Write | Right::ReadWrite => Decision::Open,
        }
    }

    fn filter(&self, filter: &TopicFilter) -> Decision {
        match self.right {
            Right::Deny if self.filter.covers(filter) => Decision::Denied,
            Right::Read | Right::ReadWrite if self.filter.meets(filter) => Decision::Allowed,
            Right::Deny | Right::Read | Right::ReadWrite | Right::Write => Decision::Open,
        }
    }
}

impl Pattern {
    /// `None`: it does not concern this client.
    fn of(&self, who: &Identity) -> Option<Rule> {
        let mut text = self.text.to_string();
        for (sign, value) in [("%c", Some(&who.client_id)), ("%u", who.user_name.as_ref())] {
            if text.contains(sign) {
                let value = value.filter(|value| !value.contains(['+', '#', '/']))?;
                text = text.replace(sign, value);
            }
        }
        let filter = TopicFilter::parse(text.as_bytes()).ok()?;
        Some(Rule { right: self.right, filter })
    }
}

fn split_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

/// Without a right: both. A topic may contain blanks, and be named like a right.
fn right_and_topic(text: &str) -> Result<(Right, &str), Problem> {
    let (word, rest) = split_word(text);
    let right = match word {
        "read" => Right::Read,
        "write" => Right::Write,
        "readwrite" => Right::ReadWrite,
        "deny" => Right::Deny,
        "" => return Err(Problem::NoTopic),
        _ => return Ok((Right::ReadWrite, text)),
    };
    match rest {
        "" => Ok((Right::ReadWrite, word)),
        topic => Ok((right, topic)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = "\u{feff}# comment\r\n\
        topic read public/#\r\n\
        \r\n\
        user alice\n\
        topic plant/+/state\n\
        topic deny plant/secret/state\n\
        topic write only write\n\
        user bob b\n\
        topic read $SYS/#\n\
        pattern write device/%c/up\n\
        pattern read user/%u/#\n";

    fn who(client_id: &str, user_name: Option<&str>) -> Identity {
        Identity { client_id: client_id.into(), user_name: user_name.map(Into::into) }
    }

    fn acl() -> Acl {
        Acl::parse("acl", RULES).unwrap()
    }

    #[test]
    fn what_no_rule_allows_is_denied() {
        assert!(!Acl::default().allows(&who("c", None), Action::Receive("a")));
        assert!(!acl().allows(&who("c", Some("nobody")), Action::Receive("public/a")));
    }

    #[test]
    fn rules_before_the_first_user_are_for_anonymous_clients() {
        let anonymous = who("c", None);
        assert!(acl().allows(&anonymous, Action::Receive("public/a")));
        assert!(!acl().allows(&anonymous, Action::Publish("public/a")));
        assert!(!acl().allows(&who("c", Some("alice")), Action::Receive("public/a")));
    }

    #[test]
    fn user_has_the_rules_that_follow_the_name_and_deny_wins() {
        let alice = who("c", Some("alice"));
        assert!(acl().allows(&alice, Action::Publish("plant/1/state")));
        assert!(acl().allows(&alice, Action::Receive("plant/1/state")));
        assert!(!acl().allows(&alice, Action::Publish("plant/secret/state")));
        assert!(!acl().allows(&alice, Action::Publish("plant/1/other")));
        assert!(acl().allows(&alice, Action::Publish("only write")));
        assert!(!acl().allows(&alice, Action::Receive("only write")));
    }

    #[test]
    fn wildcard_does_not_give_topics_of_the_broker() {
        let acl = Acl::parse("acl", "topic read #").unwrap();
        assert!(!acl.allows(&who("c", None), Action::Receive("$SYS/broker/uptime")));
        assert!(self::acl().allows(&who("c", Some("bob b")), Action::Receive("$SYS/x")));
    }

    #[test]
    fn patterns_take_client_id_and_user_name_but_none_that_could_be_a_filter() {
        assert!(acl().allows(&who("d1", None), Action::Publish("device/d1/up")));
        assert!(!acl().allows(&who("d1", None), Action::Publish("device/d2/up")));
        for hostile in ["+", "#", "a/b"] {
            let topic = format!("device/{hostile}/up");
            assert!(!acl().allows(&who(hostile, None), Action::Publish(&topic)), "{hostile}");
        }
        assert!(!acl().allows(&who("+", None), Action::Publish("device/x/up")));
        assert!(acl().allows(&who("c", Some("eve")), Action::Receive("user/eve/inbox")));
        assert!(!acl().allows(&who("c", None), Action::Receive("user//inbox")));
    }

    #[test]
    fn filter_is_refused_only_when_nothing_of_it_could_be_received() {
        let alice = who("c", Some("alice"));
        for filter in ["plant/1/state", "#", "plant/#", "+/+/state"] {
            assert!(acl().allows(&alice, Action::Subscribe(filter)), "{filter}");
        }
        for filter in ["plant/secret/state", "other/#", "only write"] {
            assert!(!acl().allows(&alice, Action::Subscribe(filter)), "{filter}");
        }
    }

    #[test]
    fn error_names_file_and_line() {
        let error = |text: &str| Acl::parse("x.acl", text).unwrap_err().to_string();
        assert_eq!(error("\nuser"), "x.acl:2: expected a user name");
        assert_eq!(error("topics a"), "x.acl:1: expected user, topic or pattern");
        assert_eq!(error("topic"), "x.acl:1: expected a topic filter");
        assert!(error("topic a/#/b").starts_with("x.acl:1: topic filter: "));
        assert!(error("pattern %c+").starts_with("x.acl:1: topic filter: "));
    }

    #[test]
    fn topic_may_be_named_like_a_right() {
        let acl = Acl::parse("acl", "topic read").unwrap();
        assert!(acl.allows(&who("c", None), Action::Publish("read")));
    }
}
