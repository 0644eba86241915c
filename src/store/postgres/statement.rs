//! Statements that are asked often. On each connection, the server takes them apart and plans them once, which takes
//! longer than to do them; what is sent then is a name and values, in one message.
//!
//! A proxy that pools transactions has each message done by another session, which does not know the names. So the
//! names are unlike any other's, and where they are unknown time and again, the statements are sent whole from then on.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::literal::render;

/// How statements are planned: by what they are, not by what the tables hold, which for new tables is not known and
/// soon not true any more. All of them look up rows by an index.
pub(super) const PLANNED: &str = "SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off; \
    SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashjoin = off; \
    SET LOCAL enable_mergejoin = off; ";

/// A statement that is asked often.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statement {
    /// Unlike any other's.
    pub(super) label: &'static str,
    pub(super) template: &'static str,
    /// What stands in the template in place of these names, and is a template itself.
    pub(super) parts: &'static [(&'static str, &'static str)],
    /// The names of what is different each time, and their types.
    pub(super) arguments: &'static [(&'static str, &'static str)],
}

impl Statement {
    /// The statement whole, with these arguments.
    pub(super) fn whole(&self, prefix: &str, arguments: &[&str]) -> String {
        let named: Vec<_> = self.arguments.iter().zip(arguments).map(|((name, _), value)| (*name, *value)).collect();
        self.text(prefix, &named)
    }

    /// What makes the server know it.
    pub(super) fn prepare(&self, prefix: &str) -> String {
        format!("PREPARE {} AS {};", self.name(prefix), self.parameterized(prefix))
    }

    /// The same as [`whole`](Self::whole), where the server knows the statement by this name.
    pub(super) fn execute(name: &str, arguments: &[&str]) -> String {
        format!("EXECUTE {name}({})", arguments.join(", "))
    }

    /// A name that says what the statement is, so that sessions may be shared with whatever else.
    pub(super) fn name(&self, prefix: &str) -> String {
        let text = self.parameterized(prefix);
        let digest = |salt: u8| {
            let mut hasher = DefaultHasher::new();
            (salt, &text).hash(&mut hasher);
            hasher.finish()
        };
        format!("respond_async_{:016x}{:016x}", digest(0), digest(1))
    }

    fn parameterized(&self, prefix: &str) -> String {
        let numbered = (1..).zip(self.arguments).map(|(number, (name, of))| (*name, format!("${number}::{of}")));
        let numbered: Vec<_> = numbered.collect();
        self.text(prefix, &numbered.iter().map(|(name, value)| (*name, &**value)).collect::<Vec<_>>())
    }

    fn text(&self, prefix: &str, arguments: &[(&str, &str)]) -> String {
        self.fill_in(self.template, prefix, arguments)
    }

    fn fill_in(&self, template: &str, prefix: &str, arguments: &[(&str, &str)]) -> String {
        let used = self.parts.iter().filter(|(name, _)| template.contains(&format!("{{{name}}}")));
        let parts: Vec<_> = used.map(|(name, part)| (*name, self.fill_in(part, prefix, arguments))).collect();
        let values: Vec<_> =
            parts.iter().map(|(name, part)| (*name, &**part)).chain(arguments.iter().copied()).collect();
        render(template, prefix, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NESTED: Statement = Statement {
        label: "nested",
        template: "SELECT {what} FROM {p}t WHERE {a}",
        parts: &[("what", "x + {b} + {more}"), ("more", "{now}")],
        arguments: &[("a", "uuid[]"), ("b", "int8")],
    };

    #[test]
    fn arguments_are_values_or_parameters() {
        let whole = NESTED.whole("p_", &["'{}'::uuid[]", "2"]);
        assert!(whole.contains("x + 2 + (extract"), "{whole}");
        assert!(whole.ends_with("FROM p_t WHERE '{}'::uuid[]"), "{whole}");
        let prepare = NESTED.prepare("p_");
        assert!(prepare.contains("x + $2::int8 + (extract") && prepare.ends_with("WHERE $1::uuid[];"), "{prepare}");
        assert_eq!(Statement::execute("n", &["'{}'::uuid[]", "2"]), "EXECUTE n('{}'::uuid[], 2)");
    }

    #[test]
    fn a_name_belongs_to_one_text() {
        assert_ne!(NESTED.name("p_"), NESTED.name("q_"));
        assert_ne!(NESTED.name("p_"), Statement { template: "SELECT {a}", ..NESTED }.name("p_"));
        assert_eq!(NESTED.name("p_"), NESTED.name("p_"));
        assert!(NESTED.name("p_").len() < 64);
    }
}
