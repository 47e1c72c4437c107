//! What the servers applied, and whether they agree about it.

use std::collections::BTreeSet;

use systems::raft::Index;

/// What an entry says: a command, or nothing.
pub type Content = Option<Vec<u8>>;

/// What the servers applied. Nothing that was ever applied is forgotten here, whoever crashes.
#[derive(Default)]
pub struct Record {
    /// What each server applied in its present life, or has in the snapshot that it started with. Index 1 is the first.
    of: Vec<Vec<Content>>,
    /// What was applied anywhere, ever.
    agreed: Vec<Content>,
    /// What should not have happened.
    pub wrong: Vec<String>,
}

impl Record {
    /// Of so many servers.
    pub fn new(servers: usize) -> Record {
        Record { of: vec![Vec::new(); servers], ..Record::default() }
    }

    /// The server is dead: it has applied nothing.
    pub fn forget(&mut self, server: usize) {
        self.of[server].clear();
    }

    /// The server applied an entry.
    pub fn applied(&mut self, server: usize, index: Index, content: Content) {
        let due = self.of[server].len() as Index + 1;
        if index != due {
            self.wrong.push(format!("server {server} applied entry {index}, and entry {due} was due"));
            return;
        }
        self.compare(server, index, &content);
        self.of[server].push(content);
    }

    /// The server has become what a snapshot says, which stands for the entries up to `index`.
    pub fn restored(&mut self, server: usize, index: Index, contents: Vec<Content>) {
        if contents.len() as Index != index {
            self.wrong.push(format!("server {server}: a snapshot of {index} entries has {}", contents.len()));
            return;
        }
        if (contents.len()) < self.of[server].len() {
            self.wrong.push(format!("server {server} went back to entry {index}"));
        }
        for (content, index) in contents.iter().zip(1..) {
            self.compare(server, index, content);
        }
        self.of[server] = contents;
    }

    fn compare(&mut self, server: usize, index: Index, content: &Content) {
        match self.agreed.get(index as usize - 1) {
            None => self.agreed.push(content.clone()),
            Some(agreed) if agreed == content => {}
            Some(agreed) => {
                let (here, there) = (show(content), show(agreed));
                self.wrong.push(format!("entry {index} is {here} at server {server} and {there} elsewhere"));
            }
        }
    }

    /// How many servers have applied the entry.
    pub fn count(&self, index: Index) -> usize {
        self.of.iter().filter(|of| of.len() as Index >= index).count()
    }

    /// What the entry says, if it was ever applied.
    pub fn at(&self, index: Index) -> Option<&Content> {
        self.agreed.get(index as usize - 1)
    }

    /// The last entry that was ever applied.
    pub fn last(&self) -> Index {
        self.agreed.len() as Index
    }

    /// Everything that a server has applied.
    pub fn of(&self, server: usize) -> &[Content] {
        &self.of[server]
    }

    /// Whether the command was ever applied.
    pub fn has(&self, command: &[u8]) -> bool {
        self.agreed.iter().any(|content| content.as_deref() == Some(command))
    }

    /// How many different commands were applied. One that was given again may be there twice.
    pub fn different_commands(&self) -> u64 {
        self.agreed.iter().flatten().collect::<BTreeSet<_>>().len() as u64
    }

    /// How many of the entries up to there are commands: a leader may begin its term with an entry of its own.
    pub fn commands(&self, last: Index) -> u64 {
        self.agreed.iter().take(last as usize).flatten().count() as u64
    }
}

fn show(content: &Content) -> String {
    match content {
        None => "nothing".to_owned(),
        Some(command) if command.len() > 20 => format!("{} bytes", command.len()),
        Some(command) => String::from_utf8_lossy(command).into_owned(),
    }
}

fn some(text: &str) -> Content {
    Some(text.as_bytes().to_vec())
}

#[test]
fn servers_that_agree_are_right() {
    let mut record = Record::new(2);
    record.applied(0, 1, None);
    record.applied(0, 2, some("a"));
    record.applied(1, 1, None);
    record.restored(1, 2, vec![None, some("a")]);
    record.forget(0);
    record.restored(0, 0, Vec::new());
    record.applied(0, 1, None);
    assert_eq!(record.wrong, [""; 0]);
    assert_eq!((record.count(1), record.count(2), record.last(), record.commands(2)), (2, 1, 2, 1));
}

#[test]
fn what_differs_is_wrong_and_so_is_a_gap() {
    let wrong = |what: fn(&mut Record)| {
        let mut record = Record::new(2);
        record.applied(0, 1, some("a"));
        what(&mut record);
        record.wrong.join("; ")
    };
    assert_eq!(wrong(|record| record.applied(1, 1, some("b"))), "entry 1 is b at server 1 and a elsewhere");
    assert_eq!(wrong(|record| record.applied(0, 1, some("a"))), "server 0 applied entry 1, and entry 2 was due");
    assert_eq!(wrong(|record| record.applied(0, 3, some("a"))), "server 0 applied entry 3, and entry 2 was due");
    assert_eq!(wrong(|record| record.restored(1, 1, vec![None])), "entry 1 is nothing at server 1 and a elsewhere");
    assert_eq!(wrong(|record| record.restored(1, 2, vec![None])), "server 1: a snapshot of 2 entries has 1");
    assert_eq!(wrong(|record| record.restored(0, 0, Vec::new())), "server 0 went back to entry 0");
    // A server that died has forgotten what it applied; the others' word still counts.
    let after_death = wrong(|record| {
        record.forget(0);
        record.applied(0, 1, some("b"));
    });
    assert_eq!(after_death, "entry 1 is b at server 0 and a elsewhere");
}
