import Foundation

/// Reads the questions of a task from a file in the fields of its Hugging Face dataset.
struct ChoiceQuestionReader {
    let task: ChoiceTask
    let file: DatasetFile

    /// - Throws: `DatasetError`
    static func questions(_ task: ChoiceTask, path: String, limit: Int? = nil) throws -> [ChoiceQuestion] {
        let reader = ChoiceQuestionReader(task: task, file: try DatasetFile(path: path, format: nil))
        guard reader.file.layout != .plainText else {
            throw DatasetError.unsupportedFormat(path: path, found: "text that is no JSON")
        }
        return try (0..<min(limit ?? .max, reader.file.recordCount)).map { try reader.question($0) }
    }

    private func question(_ index: Int) throws(DatasetError) -> ChoiceQuestion {
        let record = try RecordReader(file: file, record: index, format: .text)
        switch task {
        case .arcEasy, .arcChallenge:
            let (texts, gold) = try labelled(record)
            return question("Question: \(try text(record, "question"))\nAnswer:", texts, gold)
        case .openbookqa:
            let (texts, gold) = try labelled(record)
            return question(try text(record, "question_stem"), texts, gold)
        case .piqa:
            let gold = try number(record, "label", 0...1)
            return question("Question: \(try text(record, "goal"))\nAnswer:", [try text(record, "sol1"), try text(record, "sol2")], gold)
        case .mathqa:
            let texts = Self.mathOptions(try text(record, "options"))
            let letter = try text(record, "correct")
            guard let gold = ["a", "b", "c", "d", "e"].firstIndex(of: letter), gold < texts.count else {
                throw wrong(record, "correct", "a letter of one of \(texts.count) options", DatasetError.quoted(letter))
            }
            return question("Question: \(try text(record, "Problem"))\nAnswer:", texts, gold)
        case .hellaswag: return try hellaswag(record)
        case .winogrande: return try winogrande(record)
        }
    }

    private func question(_ context: String, _ texts: [String], _ gold: Int) -> ChoiceQuestion {
        ChoiceQuestion(options: texts.map { .init(context: context, continuation: $0) }, gold: gold)
    }

    // MARK: - Tasks

    private func hellaswag(_ record: RecordReader) throws(DatasetError) -> ChoiceQuestion {
        // A file that was processed before holds the question and its choices ready.
        if let document = record.value("doc") {
            guard let query = document["query"]?.stringValue, let choices = document["choices"]?.arrayValue, let gold = document["gold"]?.intValue,
                choices.indices.contains(gold)
            else { throw wrong(record, "doc", "an object with query, choices and gold", document.kindDescription) }
            return question(query, choices.compactMap(\.stringValue), gold)
        }
        let endings = try record.elements("endings").compactMap(\.stringValue)
        let gold = try number(record, "label", 0...max(endings.count - 1, 0))
        let second = try text(record, "ctx_b")
        let capitalized = second.prefix(1).uppercased() + second.dropFirst().lowercased()
        let context = "\(try text(record, "activity_label")): \(try text(record, "ctx_a")) \(capitalized)"
        return question(Self.withoutBrackets(context), endings.map(Self.withoutBrackets), gold)
    }

    /// Wikihow's titles and notes in brackets go.
    private static func withoutBrackets(_ text: String) -> String {
        text.trimmingCharacters(in: .whitespacesAndNewlines).replacingOccurrences(of: " [title]", with: ". ")
            .replacing(/\[.*?\]/, with: "").replacingOccurrences(of: "  ", with: " ")
    }

    private func winogrande(_ record: RecordReader) throws(DatasetError) -> ChoiceQuestion {
        let sentence = try text(record, "sentence")
        guard let gap = sentence.firstIndex(of: "_") else { throw wrong(record, "sentence", "a gap '_'", DatasetError.quoted(sentence)) }
        let gold = try number(record, "answer", 1...2) - 1
        let rest = sentence[sentence.index(after: gap)...].trimmingCharacters(in: .whitespacesAndNewlines)
        let options = [try text(record, "option1"), try text(record, "option2")]
        return ChoiceQuestion(options: options.map { .init(context: sentence[..<gap] + $0, continuation: rest) }, gold: gold)
    }

    /// `a ) 8 , b ) 12 , ... e ) 21`
    private static func mathOptions(_ text: String) -> [String] {
        text.matches(of: /[abcd] \) .*?, |e \) .*?$/).map { match in
            var option = text[match.range].dropFirst(4)
            while let last = option.last, last == " " || last == "," { option.removeLast() }
            return String(option)
        }
    }

    // MARK: - Fields

    private func wrong(_ record: RecordReader, _ key: String, _ expected: String, _ found: String) -> DatasetError {
        .wrongType(path: file.path, line: record.line, key: key, expected: expected, found: found)
    }

    private func text(_ record: RecordReader, _ key: String) throws(DatasetError) -> String {
        guard let value = record.value(key)?.stringValue else {
            throw wrong(record, key, "a string (task \(task.rawValue))", record.value(key)?.kindDescription ?? "none")
        }
        return value
    }

    /// A number, which some files write as a string.
    private func number(_ record: RecordReader, _ key: String, _ range: ClosedRange<Int>) throws(DatasetError) -> Int {
        let value = record.value(key)
        guard let number = value?.intValue ?? value?.stringValue.flatMap({ Int($0) }), range.contains(number) else {
            throw wrong(record, key, "a number in \(range)", value?.kindDescription ?? "none")
        }
        return number
    }

    /// `choices: {text: [...], label: [...]}`, and which of the labels `answerKey` is.
    private func labelled(_ record: RecordReader) throws(DatasetError) -> (texts: [String], gold: Int) {
        let choices = record.value("choices")
        let texts = choices?["text"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let labels = choices?["label"]?.arrayValue?.compactMap(\.stringValue) ?? []
        let key = try text(record, "answerKey").trimmingCharacters(in: .whitespaces)
        guard texts.count == labels.count, let gold = labels.firstIndex(of: key) else {
            throw wrong(record, "choices", "texts and labels, one of which is \(DatasetError.quoted(key))", "\(texts.count) texts, \(labels.count) labels")
        }
        return (texts, gold)
    }
}
