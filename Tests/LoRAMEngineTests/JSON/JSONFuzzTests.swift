import LoRAMEngine
import Testing

/// Mutated documents either parse or end in a `JSONError` within the text; nothing else, whatever the bytes.
@Suite struct JSONFuzzTests {
    @Test(arguments: 0..<8) func survivesMutations(seed: UInt64) throws {
        var random = SequentialRandom(CounterRandom(seed: seed, name: "json fuzz"))
        var parsed = 0
        var refused = 0
        for _ in 0..<1000 {
            let document = JSONScannerTests.value(depth: 0, &random).serializedBytes(pretty: Bool.random(using: &random))
            let bytes = mutated(document, with: &random)
            do {
                let value = try JSONValue.parse(bytes)
                // What was understood must survive a round trip.
                #expect(try JSONValue.parse(value.serializedBytes()) == value)
                parsed += 1
            } catch let error as JSONError {
                #expect((0...bytes.count).contains(error.offset))
                refused += 1
            }
            try? bytes.withUnsafeBytes { buffer in
                try JSONScanner.elementRanges(of: buffer) { #expect($0.lowerBound < $0.upperBound && $0.upperBound <= buffer.count) }
            }
        }
        #expect(parsed > 50 && refused > 50)
    }

    @Test func survivesRandomBytes() {
        var random = SequentialRandom(CounterRandom(seed: 9, name: "random bytes"))
        for _ in 0..<3000 {
            let bytes = (0..<Int.random(in: 0..<40, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
            _ = try? JSONValue.parse(bytes)
            _ = try? bytes.withUnsafeBytes { try JSONScanner.elementRanges(of: $0) }
        }
    }
}
