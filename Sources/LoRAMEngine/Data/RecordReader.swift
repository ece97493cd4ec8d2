/// Takes a JSON record apart, with errors that name file and line.
package struct RecordReader {
    package let file: DatasetFile
    package let record: Int
    package let format: DatasetFormat
    private let value: JSONValue

    /// - Throws: `DatasetError` if the record is no JSON object.
    package init(file: DatasetFile, record: Int, format: DatasetFormat) throws(DatasetError) {
        self.file = file
        self.record = record
        self.format = format
        value = try file.object(record)
    }

    package var line: Int { file.line(of: record) }

    /// - Throws: `DatasetError.missingKey`, `wrongType`
    package func string(_ key: String) throws(DatasetError) -> String {
        guard let member = value[key] else { throw .missingKey(path: file.path, line: line, key: key, format: format) }
        guard case .string(let text) = member else { throw wrongType(key, "a string", member) }
        return text
    }

    /// Empty where the key is missing or null.
    ///
    /// - Throws: `DatasetError.wrongType`
    package func optionalString(_ key: String) throws(DatasetError) -> String {
        guard let member = value[key], !member.isNull else { return "" }
        return try string(key)
    }

    /// - Throws: `DatasetError.missingKey`, `wrongType`
    package func array(_ key: String) throws(DatasetError) -> [JSONValue] {
        guard let member = value[key] else { throw .missingKey(path: file.path, line: line, key: key, format: format) }
        guard case .array(let elements) = member else { throw wrongType(key, "an array of integers", member) }
        return elements
    }

    /// nil where the key is missing or null.
    ///
    /// - Throws: `DatasetError.wrongType`
    package func optionalArray(_ key: String) throws(DatasetError) -> [JSONValue]? {
        guard let member = value[key], !member.isNull else { return nil }
        return try array(key)
    }

    /// A list of anything.
    ///
    /// - Throws: `DatasetError.missingKey`, `wrongType`
    func elements(_ key: String) throws(DatasetError) -> [JSONValue] {
        guard let member = value[key] else { throw .missingKey(path: file.path, line: line, key: key, format: format) }
        guard case .array(let elements) = member else { throw wrongType(key, "a list", member) }
        return elements
    }

    func value(_ key: String) -> JSONValue? { value[key] }

    package func wrongType(_ key: String, _ expected: String, _ found: JSONValue) -> DatasetError {
        .wrongType(path: file.path, line: line, key: key, expected: expected, found: found.kindDescription)
    }
}
