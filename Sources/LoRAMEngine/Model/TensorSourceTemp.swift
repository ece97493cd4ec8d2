public protocol TensorSource: Sendable {
    var config: LlamaConfig { get }
    func contains(_ name: String) -> Bool
    func copyFloats(_ name: String, shape: [Int], rows: Range<Int>?, into destination: UnsafeMutablePointer<Float>) throws
}
