import Foundation
import LoRAMEngine
import Testing

/// Files made by Tests/fixtures-src/make_formats.py with safetensors, transformers and PEFT.
enum FormatsFixture {
    static func path(_ name: String) throws -> String {
        try #require(Bundle.module.resourceURL).appendingPathComponent("Fixtures/formats/\(name)").path
    }

    static func json(_ name: String) throws -> JSONValue {
        try JSONValue.parse(contentsOf: path(name))
    }
}

/// Runs `body` and returns the typed error that it must throw.
func caught<E: Error>(_ type: E.Type, _ body: () throws -> Void) -> E? {
    do {
        try body()
    } catch let error as E {
        return error
    } catch {
        Issue.record("expected \(type), found \(error)")
        return nil
    }
    Issue.record("expected \(type), found no error")
    return nil
}

/// Bytes, mutated a little: flipped, overwritten, inserted, removed, repeated or cut.
func mutated(_ bytes: [UInt8], with random: inout some RandomNumberGenerator) -> [UInt8] {
    var result = bytes
    for _ in 0...Int.random(in: 0..<3, using: &random) {
        guard !result.isEmpty else { return [UInt8.random(in: 0...255, using: &random)] }
        let at = Int.random(in: 0..<result.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: result[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: result[at] = "{}[]\",:\\0123456789eE+-.tfnu \n\u{0}".utf8.randomElement(using: &random)!
        case 2: result.insert(UInt8.random(in: 0...255, using: &random), at: at)
        case 3: result.removeSubrange(at..<min(result.count, at + Int.random(in: 1...4, using: &random)))
        case 4:
            let end = min(result.count, at + Int.random(in: 1...32, using: &random))
            result.insert(contentsOf: Array(result[at..<end]), at: at)
        default: result.removeSubrange(at...)
        }
    }
    return result
}
