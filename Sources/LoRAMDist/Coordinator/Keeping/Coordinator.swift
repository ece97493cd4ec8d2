import Foundation
import LoRAMEngine

/// The process that keeps a run, as the ranks that compute see it: rank 0 of them does it besides (`shared`), or speaks for all to a
/// process that does nothing else (`dedicated`).
public final class Coordinator {
    private enum Place {
        case here(RunLedger)
        case elsewhere(CoordinatorLink)
        /// Rank 0 asks for this rank.
        case behindRankZero
    }

    private let world: Communicator
    private let place: Place

    /// `link`: to a dedicated one. `world`: the ranks that compute.
    init(_ recipe: Recipe, world: Communicator, pool: ThreadPool, link: CoordinatorLink?) {
        self.world = world
        place = world.rank > 0 ? .behindRankZero : link.map { Place.elsewhere($0) } ?? .here(RunLedger(recipe, pool: pool))
    }

    /// All ranks that compute call this; `request` is rank 0's. All get the answer, or throw.
    @discardableResult
    func ask(_ request: @autoclosure () throws -> CoordinatorRequest) throws -> String {
        var answer = ""
        try world.onRoot { answer = try perform(request()) }
        return String(decoding: try world.broadcast(world.rank == 0 ? Data(answer.utf8) : nil, root: 0), as: UTF8.self)
    }

    /// Any rank calls this, and waits for nobody; `request` is rank 0's.
    func tell(_ request: @autoclosure () throws -> CoordinatorRequest) throws {
        if world.rank == 0 { _ = try perform(request()) }
    }

    private func perform(_ request: CoordinatorRequest) throws -> String {
        switch place {
        case .here(let ledger): try ledger.perform(request)
        case .elsewhere(let link): try link.send(request)
        case .behindRankZero: preconditionFailure("rank 0 speaks to the coordinator")
        }
    }
}
