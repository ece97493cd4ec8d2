extension Recipe {
    /// The recipe with every path of a file or directory changed.
    ///
    /// - Parameter change: gets a path, and whether it is the run directory.
    package func mappingPaths(_ change: (_ path: String, _ isOutput: Bool) -> String) -> Recipe {
        var recipe = self
        func input(_ path: inout String?) { path = path.map { change($0, false) } }
        func data(_ data: inout DataRecipe) {
            for index in data.train.indices { data.train[index].path = change(data.train[index].path, false) }
            for index in data.evaluation.indices { data.evaluation[index].path = change(data.evaluation[index].path, false) }
            input(&data.cache)
        }
        func tasks(_ evaluation: inout EvaluationRecipe) {
            for index in evaluation.tasks.indices {
                evaluation.tasks[index].path = change(evaluation.tasks[index].path, false)
                input(&evaluation.tasks[index].fewshot)
            }
        }
        recipe.output = output.map { change($0, true) }
        input(&recipe.model)
        input(&recipe.trainedOn)
        input(&recipe.pruning.plan)
        input(&recipe.pruning.calibration.path)
        input(&recipe.lora.initAdapter)
        data(&recipe.data)
        data(&recipe.alignment.data)
        tasks(&recipe.evaluation)
        tasks(&recipe.alignment.evaluation)
        return recipe
    }
}
