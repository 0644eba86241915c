//! One history: each command is given to the stage and to the model, and then all that is kept is compared.

use std::cmp::Reverse;

use http::{Method, Response, StatusCode};

use crate::{
    BUDGET, BUDGET_LATENESS, MAX_KEPT, MAX_KEPT_BYTES, MAX_RUN_TIME, MAX_RUNNING, RETENTION, SWEEP_LATENESS,
    command::{Act, Asker, Command},
    life::{End, Life, Name},
    stage::{Answer, Call, Stage, Told, moment, settle},
};

#[derive(Debug)]
pub(crate) struct History {
    stage: Stage,
    requests: Vec<Request>,
    /// When the history began, by the store's clock.
    epoch: u64,
}

#[derive(Debug)]
struct Request {
    owner: Name,
    life: Life,
    /// Absent once the handler has been told what to do.
    call: Option<Call>,
    operation: Option<Operation>,
    body: String,
}

/// Where and since when; kept when the operation itself is gone.
#[derive(Clone, Debug)]
struct Operation {
    location: String,
    created: u64,
}

impl History {
    pub(crate) async fn begin() -> Self {
        let stage = Stage::new();
        let first = stage.submit(None, false).await.client.await.unwrap();
        let epoch = moment(&first.json(), "created") - stage.now();
        let location = first.location.unwrap();
        for expected in [StatusCode::NO_CONTENT, StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
            assert_eq!(stage.ask(Method::DELETE, &location, None).await.status, expected);
        }
        Self { stage, requests: Vec::new(), epoch }
    }

    pub(crate) async fn take(&mut self, command: &Command) {
        match command {
            Command::Submit { owner, patient } => self.submit(*owner, *patient).await,
            Command::List { asker, state } => self.list(*asker, *state).await,
            Command::Sleep { millis } => self.sleep_until(self.stage.now() + millis).await,
            Command::Act { which, act } => {
                let alive: Vec<_> =
                    (0..self.requests.len()).filter(|one| self.requests[*one].life != Life::Gone).collect();
                if !alive.is_empty() {
                    self.act(*which.get(&alive), *act).await;
                }
            }
        }
        self.look().await;
    }

    async fn act(&mut self, which: usize, act: Act) {
        match act {
            Act::Reply { status } => self.reply(which, status).await,
            Act::Panic => self.panic(which).await,
            Act::HangUp => self.hang_up(which).await,
            Act::Delete { asker } => self.delete(which, asker).await,
            Act::Poll { asker } => {
                self.ask(which, asker, "", Life::poll).await;
            }
            Act::Result { asker } => self.result(which, asker).await,
            Act::SleepToExpiry => self.sleep_to_expiry(which).await,
        }
    }

    /// Lets all clients go and all operations expire, and sees that nothing of them is left: the store takes as large
    /// a reply, and as many operations, as a new one, and no more (R7).
    pub(crate) async fn end(mut self) {
        for which in 0..self.requests.len() {
            self.hang_up(which).await;
        }
        self.sleep_until(self.stage.now() + MAX_RUN_TIME + SWEEP_LATENESS + RETENTION + SWEEP_LATENESS).await;
        assert!(self.requests.iter().all(|request| request.life == Life::Gone));
        assert_eq!(self.stage.operations.in_flight(), 0);
        self.requests.clear();

        self.submit(None, false).await;
        self.requests[0].body = "x".repeat(MAX_KEPT_BYTES);
        self.reply(0, 200).await;
        self.look().await;
        self.delete(0, Asker::Owner).await;
        self.requests.clear();

        for which in 0..=MAX_KEPT {
            self.submit(None, false).await;
            assert_eq!(self.requests[which].operation.is_some(), which < MAX_KEPT, "{which} operations are kept");
            self.requests[which].body.clear();
            self.reply(which, 200).await;
        }
    }

    async fn submit(&mut self, owner: Name, patient: bool) {
        let kept = self.requests.iter().filter(|request| request.life.is_kept()).count();
        let full = self.running() >= MAX_RUNNING || kept >= MAX_KEPT;
        let body = format!("{} of {owner:?}: {}", self.requests.len(), "x".repeat(1_000));
        let call = self.stage.submit(owner, patient).await;
        let life = Life::InLine { since: self.stage.now(), fullest: 0 };
        let mut request = Request { owner, life, call: Some(call), operation: None, body };
        if !patient && full {
            request.life = Life::Declined;
        } else if !patient {
            self.detached(&mut request).await;
            assert_eq!(request.life, Life::Running { since: self.stage.now() });
        }
        assert_eq!(request.is_answered(), request.life.runs());
        self.requests.push(request);
    }

    /// The client has been answered 202.
    async fn detached(&self, request: &mut Request) {
        let Some(call) = &mut request.call else { panic!("it has not answered") };
        assert!(call.client.is_finished(), "it is detached");
        let answer = (&mut call.client).await.unwrap();
        assert_eq!(answer.status, StatusCode::ACCEPTED);
        let location = answer.location.clone().unwrap();
        let first = self.stage.ask(Method::GET, &location, request.owner).await;
        assert_eq!(first.status, StatusCode::ACCEPTED, "R2: the first poll finds it");
        let created = moment(&answer.json(), "created") - self.epoch;
        request.life = Life::Running { since: created };
        request.operation = Some(Operation { location, created });
    }

    async fn reply(&mut self, which: usize, status: u16) {
        let request = &mut self.requests[which];
        let Some(call) = request.call.take_if(|_| request.life.is_pending()) else { return };
        let reply = Response::builder().status(status).body(request.body.clone()).unwrap();
        call.tell.send(Told::Reply(reply)).unwrap();
        settle().await;
        if request.life.runs() {
            request.life = Life::Ended { at: self.stage.now(), end: End::Replied(status) };
        } else {
            request.life = Life::Gone;
            let answer = call.client.await.unwrap();
            assert_eq!((answer.status.as_u16(), answer.body), (status, request.body.clone().into()), "as it is");
        }
    }

    async fn panic(&mut self, which: usize) {
        let request = &mut self.requests[which];
        let Some(call) = request.call.take_if(|_| request.life.is_pending()) else { return };
        call.tell.send(Told::Panic).unwrap();
        settle().await;
        if request.life.runs() {
            request.life = Life::Ended { at: self.stage.now(), end: End::Panicked };
        } else {
            request.life = Life::Gone;
            assert!(call.client.await.unwrap_err().is_panic(), "in line, a panic goes its way");
        }
    }

    async fn hang_up(&mut self, which: usize) {
        let request = &mut self.requests[which];
        let Some(call) = request.call.take_if(|_| request.life.waits()) else { return };
        call.client.abort();
        settle().await;
        assert!(call.tell.is_closed(), "R4: the handler is dropped");
        request.life = Life::Gone;
    }

    async fn delete(&mut self, which: usize, asker: Asker) {
        let request = &mut self.requests[which];
        let Some(Operation { location, .. }) = &request.operation else { return };
        let asker = asker.of(request.owner);
        let answer = self.stage.ask(Method::DELETE, location, asker).await;
        let may = asker == request.owner;
        let expected = if may { request.life.delete(self.stage.now()) } else { StatusCode::NOT_FOUND };
        assert_eq!(answer.status, expected);
    }

    async fn result(&self, which: usize, asker: Asker) {
        let Some(answer) = self.ask(which, asker, "/result", Life::result).await else { return };
        let request = &self.requests[which];
        if let Life::Ended { end: End::Replied(_), .. } = request.life
            && asker.of(request.owner) == request.owner
        {
            assert_eq!(answer.body, request.body, "the handler's own reply");
        }
    }

    /// Asks for a resource of an operation, and compares the status.
    async fn ask(
        &self,
        which: usize,
        asker: Asker,
        resource: &str,
        expected: impl Fn(Life) -> StatusCode,
    ) -> Option<Answer> {
        let request = &self.requests[which];
        let operation = request.operation.as_ref()?;
        let asker = asker.of(request.owner);
        let answer = self.stage.ask(Method::GET, &format!("{}{resource}", operation.location), asker).await;
        let expected = if asker == request.owner { expected(request.life) } else { StatusCode::NOT_FOUND };
        assert_eq!(answer.status, expected, "{request:?}");
        Some(answer)
    }

    /// Compares the list: the asker's own, newest first.
    async fn list(&self, asker: Name, state: Option<&str>) {
        let query = state.map(|state| format!("?state={state}")).unwrap_or_default();
        let answer = self.stage.ask(Method::GET, &format!("/operations{query}"), asker).await;
        if asker.is_none() {
            return assert_eq!(answer.status, StatusCode::NOT_FOUND);
        }
        let document = answer.json();
        let listed = document["operations"].as_array().unwrap().iter();
        let own = self.requests.iter().filter(|request| request.owner == asker && request.life.is_kept());
        let own = own.filter(|request| state.is_none() || request.life.state() == state);
        let mut expected: Vec<_> = own.filter_map(|request| request.operation.as_ref()).collect();
        expected.sort_by_key(|operation| Reverse((operation.created, &operation.location)));
        assert!(
            listed.map(|one| &one["location"]).eq(expected.iter().map(|operation| &operation.location)),
            "{document}"
        );
    }

    /// Sleeps, and looks at every moment that may matter on the way.
    async fn sleep_until(&mut self, moment: u64) {
        while self.stage.now() < moment {
            let now = self.stage.now();
            let stops = self.requests.iter().flat_map(|request| request.life.stops()).filter(|stop| *stop > now);
            self.stage.sleep_until(stops.min().unwrap_or(moment).min(moment)).await;
            self.look().await;
        }
    }

    async fn sleep_to_expiry(&mut self, which: usize) {
        if let Life::Ended { at, .. } = self.requests[which].life {
            self.sleep_until(at + RETENTION - 1).await;
            assert_ne!(self.requests[which].life, Life::Gone);
            self.sleep_until(at + RETENTION).await;
            assert_eq!(self.requests[which].life, Life::Gone);
        }
    }

    fn running(&self) -> usize {
        self.requests.iter().filter(|request| request.life.runs()).count()
    }

    /// Looks at everything, learns what the clock has done, and compares all else.
    async fn look(&mut self) {
        let now = self.stage.now();
        let mut fullest = self.running();
        for which in 0..self.requests.len() {
            self.requests[which].life.pass(now);
            if self.requests[which].is_answered() && self.requests[which].life.waits() {
                self.look_at_detached(which).await;
                fullest += 1;
            }
            self.look_at(which, now).await;
        }
        for request in &mut self.requests {
            request.life.look_at_limit(now, fullest);
        }
        assert!(self.running() <= MAX_RUNNING, "R7");
        assert_eq!(self.stage.operations.in_flight(), self.running());
    }

    async fn look_at_detached(&mut self, which: usize) {
        let mut request = self.requests.remove(which);
        let Life::InLine { since, .. } = request.life else { panic!("it was declined: {request:?}") };
        self.detached(&mut request).await;
        let Life::Running { since: detached } = request.life else { panic!("it does not run: {request:?}") };
        assert!((BUDGET..=BUDGET + BUDGET_LATENESS).contains(&(detached - since)));
        self.requests.insert(which, request);
    }

    /// Compares the status document with the model, which learns from it when an operation timed out.
    async fn look_at(&mut self, which: usize, now: u64) {
        let request = &mut self.requests[which];
        let Some(Operation { location, created }) = &request.operation else { return };
        let answer = self.stage.ask(Method::GET, &format!("{location}/status"), request.owner).await;
        if answer.status == StatusCode::NOT_FOUND {
            return assert_eq!(request.life, Life::Gone);
        }
        assert_eq!(answer.status, StatusCode::OK);
        let (document, epoch) = (answer.json(), self.epoch);
        assert_eq!(moment(&document, "created") - epoch, *created);
        let finished = document.get("finished").map(|_| moment(&document, "finished") - epoch);
        if let (Life::Running { since }, Some(at)) = (request.life, finished) {
            assert!((MAX_RUN_TIME..=MAX_RUN_TIME + SWEEP_LATENESS).contains(&(at - since)), "{document}");
            request.life = Life::Ended { at, end: End::TimedOut };
        }
        assert_eq!(document["status"].as_str(), request.life.state(), "{request:?}");
        match request.life {
            Life::Running { since } => assert!(now < since + MAX_RUN_TIME + SWEEP_LATENESS, "it should have timed out"),
            Life::Ended { at, end } => {
                assert_eq!(finished, Some(at));
                assert_eq!(moment(&document, "expires") - epoch, at + RETENTION);
                assert_eq!(document["error"]["code"].as_str(), end.code().as_deref());
                assert!(request.call.as_ref().is_none_or(|call| call.tell.is_closed()), "its future has been dropped");
            }
            life => panic!("{life:?} is shown: {document}"),
        }
    }
}

impl Request {
    /// Whether its client is.
    fn is_answered(&self) -> bool {
        self.operation.is_some() || self.call.as_ref().is_some_and(|call| call.client.is_finished())
    }
}

impl Asker {
    fn of(self, owner: Name) -> Name {
        match (self, owner) {
            (Self::Owner, owner) => owner,
            (Self::Other, None) => Some("ann"),
            (Self::Other, Some("ann")) => Some("bob"),
            (Self::Other, Some(_)) => None,
        }
    }
}
