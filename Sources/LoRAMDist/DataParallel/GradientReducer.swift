/// Adds the gradients of a stage's replicas, bucket by bucket, while computation goes on.
///
/// Works in place on one buffer. All ranks of the group start the same buckets in the same order. `start` and `progress` do not
/// wait; `finish` does.
public protocol GradientReducer: AnyObject {
    /// Starts to reduce `range` of `gradient`; the elements must not be touched until `finish` returns.
    func start(_ range: Range<Int>, of gradient: UnsafeMutablePointer<Float>) throws

    /// Moves started buckets on. True when none is left.
    @discardableResult func progress() throws -> Bool

    /// Waits until all started buckets are reduced.
    func finish() throws
}
