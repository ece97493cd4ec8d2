import LoRAMDist
import LoRAMEngine
import TestSupport
import Testing

@Suite(.enabled(if: MPIRun.isAvailable, "mpirun is not installed"))
struct MessagingTests {
    /// 4 MB both ways at once: blocking sends would wait for each other for ever.
    @Test(arguments: [1, 2, 4])
    func largeMessagesInBothDirections(ranks: Int) throws {
        try expectScenario("ring", [1_000_000], ranks: ranks)
    }

    @Test func largeMessagesOverTCP() throws {
        try expectScenario("ring", [1_000_000], ranks: 2, options: ["--mca", "btl", "tcp,self"])
    }

    @Test(arguments: [(1, 5), (2, 1), (3, 7)])
    func messagesAboveTheCountLimitGoInPieces(ranks: Int, limit: Int) throws {
        try expectScenario("pieces", [limit], ranks: ranks)
    }

    @Test(arguments: [1, 2, 3, 4])
    func collectives(ranks: Int) throws {
        let outcome = try expectScenario("collectives", ranks: ranks)
        #expect(Set(outcome.outputLines) == Set((0..<ranks).map { "rank \($0) of \(ranks)" }))
    }

    @Test func worksWithoutMpirun() throws {
        let outcome = try expectScenario("collectives", ranks: 0)
        #expect(outcome.outputLines == ["rank 0 of 1"])
    }

    @Test func aShortMessageNamesBothRanksAndCounts() throws {
        let outcome = try runScenario("short-message", ranks: 2)
        #expect(outcome.exitCode == 1)
        #expect(
            outcome.errorLines(containing: "rank 1 expected a message of 10 elements from rank 0 and got 5").count == 1,
            "\(outcome.standardError)")
    }

    @Test func aMessageTooLongNamesTheCall() throws {
        let outcome = try runScenario("long-message", ranks: 2)
        #expect(outcome.exitCode == 1)
        #expect(
            outcome.errorLines(containing: "MPI_Irecv failed on rank 1 with rank 0: MPI_ERR_TRUNCATE").count == 1,
            "\(outcome.standardError)")
    }

    @Test func aFailingCallNamesItselfRankAndPeer() throws {
        let outcome = try runScenario("bad-tag", ranks: 0)
        #expect(outcome.exitCode == 1)
        #expect(
            outcome.standardError == "MPI_Isend failed on rank 0 with rank 0: MPI_ERR_TAG: invalid tag\n",
            "\(outcome.standardError)")
    }

    #if DEBUG
        @Test func aDroppedRequestTraps() throws {
            let outcome = try runScenario("dropped-request", ranks: 0)
            #expect(outcome.exitCode != 0)
            #expect(outcome.standardOutput.isEmpty)
            #expect(!outcome.errorLines(containing: "dropped before its operation completed").isEmpty)
        }
    #endif

    @Test func errorsExitWithFailure() {
        let error = MPIError.callFailed(call: "MPI_Irecv", message: "MPI_ERR_OTHER", rank: 3, peer: nil)
        #expect(error.description == "MPI_Irecv failed on rank 3: MPI_ERR_OTHER")
        #expect(error.exitCode == .failure)
    }
}
