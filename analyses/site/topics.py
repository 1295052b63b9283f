"""Where each public name stands in the reference."""

# Title of the page -> names of ``grokinterp``, in the order of the page.
OF_GROKINTERP = {
    "Configs and data": """
        RunConfig DataConfig TrainConfig make_dataset Dataset operation_table Table
    """,
    "Training and runs": """
        train train_many Run Checkpoint reached at_step as_run
        TrainingInterrupted RunFolderError DivergenceWarning ZeroLossWarning
    """,
    "Networks": """
        build_model MLPConfig HookedMLP TransformerConfig HookedTransformer LSTMConfig HookedLSTM
        EmbeddingMLPConfig HookedEmbeddingMLP HookedModel register_model closed_form_mlp models
    """,
    "Networks from elsewhere": """
        wrap HookedModule from_transformer_lens load_nanda2023 load_zhong2023
    """,
    "Interventions": """
        ablate ablate_heads scale patch highest lowest filter_frequencies filtered_embedding
    """,
    "Sweeps": "sweep open_sweep MeasureError SweepExecutorError SweepStoreError",
    "Figures in print": "save_figure",
}

# Title of the page -> modules of ``grokinterp`` for those who extend it.
EXTENDING = {"Callbacks and own networks": "tracking models.prompt models.anatomy"}

# Title of the page -> modules of ``probes`` whose public names it has.
OF_PROBES = {
    "Spectra and IPR": "fourier ipr gini alive neuron_weights neuron_norms gamma",
    "Neurons and tables of any network": """
        network_on_pairs neuron_spectrum embedding unit_periodicity basis
    """,
    "Accuracy, loss and logits": "scores margins logit_parts logit_spectrum attribution",
    "Key frequencies and circuits": """
        key_frequencies symmetricity distance circularity clock_pizza solution_form
        spectral_surgery
    """,
    "Removing units": """
        unit_pruning pruning_curve unit_effects linear_effects path_patching halves unit_halves
    """,
    "Norms": "parameter_norms unit_norms needed_norm stationarity",
}

# Title of the page -> modules whose public functions and classes it has.
OF_ANALYSES = {
    "One run: training": """
        one_run.phases one_run.training_curves one_run.grokking one_run.weight_norms
        one_run.norm_curves one_run.progress_measures one_run.stored_networks
        one_run.summary
    """,
    "One run: neurons": """
        one_run.ipr_histogram one_run.pruning one_run.norm_gain one_run.units_by_frequency
        one_run.frequency_winners one_run.solution_form one_run.spectral_surgery
    """,
    "One run: tables, heads and logits": """
        one_run.row_ipr one_run.embedding_spectrum one_run.embedding_planes one_run.attention
        one_run.corrupted_logits one_run.logit_split
    """,
    "Phase diagrams": """
        phase_diagrams.sweep_phases phase_diagrams.phase_diagram phase_diagrams.refine
        phase_diagrams.measures phase_diagrams.presets phase_diagrams.panels
        phase_diagrams.comparison
    """,
    "Hypothesis 2.2": """
        hypothesis.evaluate hypothesis.evidence hypothesis.filter hypothesis.verdict
        hypothesis.figures hypothesis.architectures
    """,
    "Dissociation": """
        dissociation dissociation.selectivity dissociation.verdict dissociation.over_training
        dissociation.label_places
    """,
    "Circuit efficiency": """
        efficiency.circuits.circuits efficiency.circuits.sources efficiency.circuits.label_scores
        efficiency.mixing efficiency.mixing.mixture efficiency.mixing.variants
        efficiency.mixing.gradient_flow efficiency.mixing.landscape efficiency.model_efficiency
        efficiency.model_efficiency.trend efficiency.training_efficiency
        efficiency.data_efficiency efficiency.ungrokking efficiency.semi_grokking
        efficiency.d_crit efficiency.grokking_across efficiency.stability efficiency.halves
    """,
    "Label noise and images": """
        label_noise.table_ipr label_noise.deep_batchnorm label_noise.dropout_curves
        label_noise.inversion_band label_noise.pruned_width images
    """,
    "Statistics": """
        statistics.critical_size statistics.survival statistics.thresholds statistics.intervals
        statistics.agreement statistics.many_comparisons statistics.over_runs statistics.wilson
        statistics.time_divergence statistics.joint statistics.coverage statistics.curves
    """,
    "Pages and explorer": "pages.report pages.page explorer",
}
