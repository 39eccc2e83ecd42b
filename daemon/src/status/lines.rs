//! Lines of the control socket: what an operator asks of a running director, and what comes back.

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// That what is on the disk now runs.
    Upgrade,
    /// That the configuration is read again.
    Reload,
    /// How the director is. The answer is the worker's ([`super::Desk`]): one line of JSON.
    Status,
}

impl Request {
    /// As it goes over the socket.
    pub fn line(self) -> &'static [u8] {
        match self {
            Self::Upgrade => b"upgrade\n",
            Self::Reload => b"reload\n",
            Self::Status => b"status\n",
        }
    }

    /// `None`: it is none of these.
    pub fn read(line: &[u8]) -> Option<Self> {
        [Self::Upgrade, Self::Reload, Self::Status].into_iter().find(|request| request.line() == line)
    }
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Failed(String),
}

impl Answer {
    /// `done`, or `failed: ` and why; one line.
    pub fn line(&self) -> String {
        match self {
            Self::Done => "done\n".to_owned(),
            Self::Failed(why) => format!("failed: {}\n", why.replace('\n', " ")),
        }
    }

    /// `None`: it is no whole answer.
    pub fn read(line: &str) -> Option<Self> {
        match line.strip_suffix('\n')? {
            "done" => Some(Self::Done),
            failed => failed.strip_prefix("failed: ").map(|why| Self::Failed(why.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        for answer in [Answer::Done, Answer::Failed("no: such thing".to_owned())] {
            assert_eq!(Answer::read(&answer.line()), Some(answer));
        }
        let long = Answer::Failed("two\nlines".to_owned());
        assert_eq!(Answer::read(&long.line()), Some(Answer::Failed("two lines".to_owned())));
        for none in ["", "done", "perhaps\n", "failed: half an answer"] {
            assert_eq!(Answer::read(none), None);
        }
    }
}
