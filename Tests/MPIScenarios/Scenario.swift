import LoRAMDist
import LoRAMEngine

/// A check that needs several processes. A test starts it under mpirun and looks at its output and exit code.
struct Scenario: Sendable {
    let name: String
    let run: @Sendable (MPIRuntime, [String]) throws -> Void

    static let all: [Scenario] =
        messagingScenarios + collectiveScenarios + failureScenarios + reductionScenarios + pipelineScenarios + trainingScenarios

    static func named(_ name: String?) throws -> Scenario {
        guard let name, let scenario = all.first(where: { $0.name == name }) else {
            throw ScenarioFailure(
                "no scenario is called \(name ?? "nothing"): \(all.map(\.name).joined(separator: ", "))", exitCode: .usage)
        }
        return scenario
    }
}

/// A check that did not hold.
struct ScenarioFailure: DiagnosedError {
    let description: String
    let exitCode: ExitStatus

    init(_ description: String, exitCode: ExitStatus = .failure) {
        self.description = description
        self.exitCode = exitCode
    }
}

/// Throws unless `condition` holds.
func require(_ condition: Bool, _ text: @autoclosure () -> String) throws {
    if !condition { throw ScenarioFailure(text()) }
}

extension [String] {
    func integer(_ index: Int) throws -> Int {
        guard index < count, let value = Int(self[index]) else {
            throw ScenarioFailure("argument \(index) must be a number", exitCode: .usage)
        }
        return value
    }
}
