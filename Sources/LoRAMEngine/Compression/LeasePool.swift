import Synchronization

/// Objects that one thread at a time works with, such as decoders: made when all others are taken, used again afterwards.
final class LeasePool<Element: AnyObject & Sendable>: Sendable {
    private let free = Mutex<[Element]>([])
    private let make: @Sendable () throws -> Element

    init(_ make: @escaping @Sendable () throws -> Element) { self.make = make }

    /// The one that was given back last comes first: what it remembers is likely to be of use.
    func with<Result>(_ body: (Element) throws -> Result) throws -> Result {
        let element = try free.withLock { $0.popLast() } ?? make()
        defer { free.withLock { $0.append(element) } }
        return try body(element)
    }
}
