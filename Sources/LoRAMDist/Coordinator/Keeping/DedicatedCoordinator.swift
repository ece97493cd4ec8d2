import LoRAMEngine

/// The last rank of a job with `parallel.coordinator: dedicated`. It holds no layers and belongs to no group of the ranks that compute:
/// it keeps the run for them, and recovers the adapter of every commit, and scores it if asked to, while they go on.
struct DedicatedCoordinator {
    private let job: Job
    private let link: CoordinatorLink
    private let limits: FullModelScoring.Limits

    init(_ job: Job, _ link: CoordinatorLink, _ limits: FullModelScoring.Limits) {
        self.job = job
        self.link = link
        self.limits = limits
    }

    /// Returns when the ranks that compute have done their work and the last commit's adapter is there.
    ///
    /// - Throws: errors of what was asked, of recovery and of scoring. Each ends the job.
    func serve() throws {
        // Signals are for those who train, who also watch themselves.
        RunSignals.install()
        job.isWatched = false
        let ledger = RunLedger(job.recipe, pool: job.pool), recovery = CommitRecovery(job.recipe, marker: job.marker)
        func report() throws { try recovery.take { _ = try ledger.perform(.evaluation($0)) } }
        while true {
            let request = try link.next(onIdle: report)
            if case .end = request { break }
            do {
                if case .open(.train, _, _, _) = request, job.recipe.evaluation.fullModel != .never {
                    recovery.use(try FullModelScoring(job.recipe, limits))
                }
                let answer = try recovery.whileFilesRest { try ledger.perform(request) }
                if request.isAnswered { try link.answer(answer) }
            } catch {
                if request.isAnswered { try link.answer(nil) }
                throw error
            }
            if case .commit(let step, _, _, _) = request, ledger.directory.phase == .train {
                recovery.add(step: step, states: ledger.directory.states)
            }
        }
        job.marker.mark("recovering and scoring the last commits")
        job.isWatched = true
        recovery.finish()
        try report()
    }
}
