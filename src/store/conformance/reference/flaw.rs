//! The ways in which a store can be wrong.

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    RenewsWhatIsOver,
    FinishIsNotFenced,
    FinishIsNotAtomic,
    AsksForTheLeaseFirst,
    CreatesAnew,
    CreatesAfterLooking,
    ClaimsAfterLooking,
    ForgetsKeysTooLate,
    ForgetsBackoff,
    CountsHandingBack,
    ShowsWhatHasExpired,
    ShowsStrangers,
    TellsTheStateBeforeTheReply,
    ServesOneOwnerFirst,
    LosesHistory,
    StopsSweepingTooSoon,
    TakesAnyReport,
    CutsOwners,
    RepeatsInLists,
    CountsNothing,
    LeavesLeasesBehind,
    RenewsLeasesAlone,
    SaysNothing,
}
