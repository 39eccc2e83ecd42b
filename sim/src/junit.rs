//! Runs as JUnit XML, which CI systems show: one test case a scenario.

use crate::report::Report;
use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};
use std::path::Path;
use vipward_core::text::{Diagnostic, Sources, render};

/// A document that grows.
#[derive(Debug)]
pub struct Junit {
    suite: TestSuite,
}

impl Default for Junit {
    fn default() -> Self {
        Self { suite: TestSuite::new("scenarios") }
    }
}

impl Junit {
    /// A scenario that came to its end; its time is the simulated one.
    pub fn ran(&mut self, report: &Report, sources: &Sources) {
        let scenario = &report.run.scenario;
        let status = if report.held() {
            TestCaseStatus::success()
        } else {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(report.summary()).set_type("did not hold").set_description(report.text(sources, false));
            status
        };
        let mut case = TestCase::new(scenario.name.as_str(), status);
        case.set_classname(scenario.title.as_str()).set_time(scenario.duration);
        self.suite.add_test_case(case);
    }

    /// A file that can't be run, with what is wrong with it.
    pub fn refused(&mut self, file: &Path, mistakes: &[Diagnostic], sources: &Sources) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let message = mistakes.first().map_or("it can't be run", |first| first.message.as_str());
        status.set_message(message).set_type("mistakes").set_description(render(sources, mistakes, false));
        self.suite.add_test_case(TestCase::new(file.display().to_string(), status));
    }

    /// The document. The error: it can't be written.
    pub fn to_text(self) -> Result<String, String> {
        let mut report = quick_junit::Report::new("vipward-sim");
        report.add_test_suite(self.suite);
        report.to_string().map_err(|error| error.to_string())
    }
}
