/// Typed reading of a configuration object; every failure is a `ConfigError` that names file and key. null counts as absent.
struct ConfigFields {
    let path: String
    let object: JSONValue
    /// Put before keys in messages: `rope_scaling.`.
    var prefix = ""

    /// Reads a JSON file that must hold an object.
    ///
    /// - Throws: `FileError`, `ConfigError`.
    init(file path: String) throws {
        do {
            object = try JSONValue.parse(contentsOf: path)
        } catch let error as JSONError {
            throw ConfigError.notJSON(path: path, error)
        }
        self.path = path
        guard case .object = object else {
            throw ConfigError.invalid(path: path, key: "the document", expected: "an object", found: object.kindDescription)
        }
    }

    init(_ object: JSONValue, path: String, prefix: String = "") {
        self.object = object
        self.path = path
        self.prefix = prefix
    }

    func value(_ key: String) -> JSONValue? {
        let value = object[key]
        return value?.isNull == true ? nil : value
    }

    func invalid(_ key: String, expected: String, found: JSONValue) -> ConfigError {
        let text = found.serialized()
        let short = text.utf8.count > 60 ? found.kindDescription : text
        return .invalid(path: path, key: prefix + key, expected: expected, found: short)
    }

    func missing(_ key: String, hint: String = "the file is incomplete") -> ConfigError {
        .missing(path: path, key: prefix + key, hint: hint)
    }

    func optionalInt(_ key: String, in range: ClosedRange<Int>) throws -> Int? {
        guard let value = value(key) else { return nil }
        guard let number = value.intValue, range.contains(number) else {
            throw invalid(key, expected: "an integer from \(range.lowerBound) to \(range.upperBound)", found: value)
        }
        return number
    }

    func int(_ key: String, in range: ClosedRange<Int>) throws -> Int {
        guard let number = try optionalInt(key, in: range) else { throw missing(key) }
        return number
    }

    /// A positive finite number.
    func optionalPositive(_ key: String, atMost limit: Double) throws -> Double? {
        guard let value = value(key) else { return nil }
        guard let number = value.doubleValue, number > 0, number <= limit else {
            throw invalid(key, expected: "a number above 0 and at most \(limit)", found: value)
        }
        return number
    }

    func optionalBool(_ key: String) throws -> Bool? {
        guard let value = value(key) else { return nil }
        guard let flag = value.boolValue else { throw invalid(key, expected: "true or false", found: value) }
        return flag
    }

    func optionalString(_ key: String) throws -> String? {
        guard let value = value(key) else { return nil }
        guard let text = value.stringValue else { throw invalid(key, expected: "a string", found: value) }
        return text
    }

    /// A nested object; nil if absent.
    func optionalFields(_ key: String) throws -> ConfigFields? {
        guard let value = value(key) else { return nil }
        guard case .object = value else { throw invalid(key, expected: "an object", found: value) }
        return ConfigFields(value, path: path, prefix: "\(prefix)\(key).")
    }
}
