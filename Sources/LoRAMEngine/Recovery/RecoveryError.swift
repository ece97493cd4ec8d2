/// Why an adapter cannot be brought back to the whole model's shape.
public enum RecoveryError: DiagnosedError, Equatable {
    /// The adapter remembers that it was trained on a model pruned by another plan.
    case otherPlan(adapter: String, expected: String, found: String)

    public var description: String {
        switch self {
        case .otherPlan(let adapter, let expected, let found):
            "\(adapter): expected an adapter trained on the model of plan \(expected.prefix(16))..., found one of plan \(found.prefix(16))...;"
                + " name the pruned checkpoint that it was trained on"
        }
    }
}
