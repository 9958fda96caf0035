"""The tables of :mod:`support.contract`: file of ours -> what of LeRobot, LIBERO and robosuite it relies on."""

from __future__ import annotations

from support.contract import ANY, Table

POLICY = "lerobot.policies.smolvla.modeling_smolvla:SmolVLAPolicy"
FLOW = "lerobot.policies.smolvla.modeling_smolvla:VLAFlowMatching"
CONFIG = "lerobot.policies.smolvla.configuration_smolvla:SmolVLAConfig"
SCRIPT = "lerobot.scripts.lerobot_train"
PI0 = "lerobot.policies.pi0.modeling_pi0"
PI0_POLICY = f"{PI0}:PI0Policy"
PI0_FLOW = f"{PI0}:PI0Pytorch"
PI0_CONFIG = "lerobot.policies.pi0.configuration_pi0:PI0Config"
PRETRAINED = (
    "(pretrained_name_or_path, *, config=None, force_download=False, resume_download=None, proxies=None, token=None, "
    "cache_dir=None, local_files_only=False, revision=None, strict=False, **kwargs)"
)
PRETRAINED_CONFIG = (
    "(pretrained_name_or_path, *, force_download=False, resume_download=None, proxies=None, token=None, "
    "cache_dir=None, local_files_only=False, revision=None, **policy_kwargs)"
)
SAVE_CHECKPOINT = (
    "(checkpoint_dir, step, cfg, policy, optimizer, scheduler=None, preprocessor=None, postprocessor=None, "
    "num_processes=None, batch_size=None, model_state_dict=None, optim_state_dict=None)"
)
UPDATE_POLICY = (
    "(train_metrics, policy, batch, optimizer, grad_clip_norm, accelerator, lr_scheduler=None, lock=None, "
    "sample_weighter=None)"
)
MAKE_PROCESSORS = "(policy_cfg, pretrained_path=None, pretrained_revision=None, **kwargs)"
DIFFUSION = "lerobot.policies.diffusion.modeling_diffusion"
FLOW_WITH_STATE = "(self, images, img_masks, lang_tokens, lang_masks, state, noise=None, num_steps=None, **kwargs)"
FLOW_WITHOUT_STATE = "(self, images, img_masks, tokens, masks, noise=None, num_steps=None, **kwargs)"
VISUAL, STATE, ACTION = (f"<FeatureType.{name}: '{name}'>" for name in ("VISUAL", "STATE", "ACTION"))

PLUGIN: Table = {
    "lerobot_policy_world_modality/configuration_world_transformer.py": {
        "lerobot.configs:NormalizationMode": "class",
        "lerobot.configs:NormalizationMode.IDENTITY": "<NormalizationMode.IDENTITY: 'IDENTITY'>",
        "lerobot.configs:NormalizationMode.MEAN_STD": "<NormalizationMode.MEAN_STD: 'MEAN_STD'>",
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.action_delta_indices": ANY,
        "lerobot.configs:PreTrainedConfig.get_optimizer_preset": "(self)",
        "lerobot.configs:PreTrainedConfig.get_scheduler_preset": "(self)",
        "lerobot.configs:PreTrainedConfig.observation_delta_indices": ANY,
        "lerobot.optim:CosineDecayWithWarmupSchedulerConfig": "class",
        "lerobot.configs:PreTrainedConfig.register_subclass": "(name, choice_type=None)",
        "lerobot.configs:PreTrainedConfig.reward_delta_indices": ANY,
        "lerobot.configs:PreTrainedConfig.validate_features": "(self)",
        "lerobot.optim:AdamWConfig": "class",
        "lerobot.optim:LRSchedulerConfig": "class",
    },
    "lerobot_policy_world_modality/processor_world_transformer.py": {
        "lerobot.processor:PolicyProcessorPipeline": ANY,
        "lerobot.processor:make_default_pre_post_processors": "(config, dataset_stats=None, *, normalizer_device=None)",
    },
    "lerobot_policy_world_modality/transformer_policy.py": {
        "lerobot.policies.pretrained:PreTrainedPolicy": "class",
        "lerobot.policies.pretrained:PreTrainedPolicy.__init__": "(self, config, *inputs, **kwargs)",
        "lerobot.policies.pretrained:PreTrainedPolicy.forward": "(self, batch)",
        "lerobot.policies.pretrained:PreTrainedPolicy.get_optim_params": "(self)",
        "lerobot.policies.pretrained:PreTrainedPolicy.predict_action_chunk": "(self, batch, **kwargs)",
        "lerobot.policies.pretrained:PreTrainedPolicy.reset": "(self)",
        "lerobot.policies.pretrained:PreTrainedPolicy.select_action": "(self, batch, **kwargs)",
        "lerobot.utils.constants:ACTION": "'action'",
        "lerobot.utils.constants:OBS_STATE": "'observation.state'",
    },
    "world_modality/encoders/cogvideox.py": {
        "diffusers.utils.logging:get_verbosity": "()",
        "diffusers.utils.logging:set_verbosity": "(verbosity)",
        "diffusers.utils.logging:set_verbosity_error": "()",
        "diffusers.utils:logging": "module",
        "diffusers:AutoencoderKLCogVideoX": "class",
        "diffusers:AutoencoderKLCogVideoX.from_pretrained": "(pretrained_model_name_or_path, **kwargs)",
    },
    "lerobot_policy_world_modality/world_policy.py": {
        "lerobot.policies.pretrained:PreTrainedPolicy.__init__": "(self, config, *inputs, **kwargs)",
        "lerobot.policies.pretrained:PreTrainedPolicy._get_default_peft_targets": "(self)",
        "lerobot.policies.pretrained:PreTrainedPolicy.forward": "(self, batch)",
        "lerobot.policies.pretrained:PreTrainedPolicy.from_pretrained": PRETRAINED,
        "lerobot.policies.pretrained:PreTrainedPolicy.get_optim_params": "(self)",
        "lerobot.policies.pretrained:PreTrainedPolicy.reset": "(self)",
        f"{POLICY}.__init__": "(self, config, **kwargs)",
        f"{POLICY}.reset": "(self)",
        f"{POLICY}.get_optim_params": "(self)",
        f"{POLICY}._get_default_peft_targets": "(self)",
        f"{PI0_POLICY}.__init__": "(self, config, **kwargs)",
        f"{PI0_POLICY}.reset": "(self)",
        f"{PI0_POLICY}.get_optim_params": "(self)",
        f"{PI0_POLICY}._get_default_peft_targets": "(self)",
        "lerobot.utils.constants:ACTION": "'action'",
        "lerobot.utils.constants:OBS_STATE": "'observation.state'",
    },
    "lerobot_policy_world_modality/modeling_smolvla_world.py": {
        f"{POLICY}.config_class": "class",
        f"{POLICY}.name": "'smolvla'",
        f"{POLICY}.select_action": "(self, batch, noise=None, **kwargs)",
        f"{POLICY}.predict_action_chunk": "(self, batch, noise=None, **kwargs)",
        f"{POLICY}._get_action_chunk": "(self, batch, noise=None, **kwargs)",
    },
    "lerobot_policy_world_modality/adapters/smolvla.py": {
        f"{POLICY}.forward": "(self, batch, noise=None, time=None, reduction='mean')",
    },
    "lerobot_policy_world_modality/modeling_pi0_world.py": {
        f"{PI0_POLICY}.config_class": "class",
        f"{PI0_POLICY}.name": "'pi0'",
        f"{PI0_POLICY}.select_action": "(self, batch)",
        f"{PI0_POLICY}.predict_action_chunk": "(self, batch, **kwargs)",
    },
    "lerobot_policy_world_modality/adapters/pi0.py": {
        "lerobot.policies.pi0:modeling_pi0": "module",
        "lerobot.policies.pi0:processor_pi0": "module",
        "lerobot.policies.pi0.processor_pi0:TokenizerProcessorStep": "class",
        f"{PI0}:get_gemma_config": "(variant)",
        f"{PI0}:GemmaConfig.__init__": "(self, width, depth, mlp_dim, num_heads, num_kv_heads, head_dim)",
        f"{PI0}:PaliGemmaForConditionalGenerationWithPiGemma": "class",
        f"{PI0}:PiGemmaForCausalLM": "class",
        f"{PI0_POLICY}.forward": "(self, batch, reduction='mean')",
        f"{PI0_POLICY}._fix_pytorch_state_dict_keys": "(self, state_dict, model_config)",
        f"{PI0_FLOW}.sample_noise": "(self, shape, device)",
        f"{PI0_FLOW}.sample_time": "(self, bsize, device)",
        f"{PI0_FLOW}.forward": "(self, images, img_masks, lang_tokens, lang_masks, state, actions, noise, time)",
        f"{PI0_FLOW}.embed_prefix": "(self, images, img_masks, lang_tokens, lang_masks)",
        f"{PI0_FLOW}.embed_suffix": "(self, state, noisy_actions, timestep)",
        f"{PI0_FLOW}.denoise_step": "(self, state, prefix_pad_masks, past_key_values, x_t, timestep)",
        f"{PI0_FLOW}.gradient_checkpointing_enable": "(self)",
    },
    "lerobot_policy_world_modality/configuration_pi0_world.py": {
        f"{PI0_CONFIG}.__post_init__": "(self)",
        f"{PI0_CONFIG}.get_optimizer_preset": "(self)",
        f"{PI0_CONFIG}.get_scheduler_preset": "(self)",
        f"{PI0_CONFIG}.compile_model": "False",
        "lerobot.configs:PreTrainedConfig.register_subclass": "(name, choice_type=None)",
    },
    "lerobot_policy_world_modality/processor_pi0_world.py": {
        "lerobot.policies.pi0.processor_pi0:make_pi0_pre_post_processors": "(config, dataset_stats=None)",
        "lerobot.processor:PolicyProcessorPipeline": ANY,
    },
    "lerobot_policy_world_modality/world_config.py": {"lerobot.optim:OptimizerConfig": "class"},
    "lerobot_policy_world_modality/settings.py": {
        "lerobot.configs:PreTrainedConfig.get_choice_class": "(name)",
        "lerobot.configs:PreTrainedConfig.get_known_choices": "()",
    },
    "lerobot_policy_world_modality/backbone.py": {
        "lerobot.processor:ProcessorStepRegistry.register": "(name=None)",
        "lerobot.processor:TokenizerProcessorStep.__init__": (
            "(self, tokenizer_name=None, tokenizer=None, max_length=512, task_key='task', padding_side='right', "
            "padding='max_length', truncation=True)"
        ),
        "lerobot.processor:TokenizerProcessorStep.__post_init__": "(self)",
        "lerobot.processor:TokenizerProcessorStep.get_config": "(self)",
        f"{CONFIG}.vlm_model_name": "'HuggingFaceTB/SmolVLM2-500M-Video-Instruct'",
        f"{CONFIG}.load_vlm_weights": "False",
    },
    "lerobot_policy_world_modality/keyed_draws.py": {
        f"{FLOW}.sample_noise": "(self, shape, device)",
        f"{FLOW}.sample_time": "(self, bsize, device)",
    },
    "world_modality/memory/fusion.py": {
        f"{FLOW}.forward": "(self, images, img_masks, lang_tokens, lang_masks, state, actions, noise=None, time=None)",
        f"{FLOW}.sample_actions": "(self, images, img_masks, lang_tokens, lang_masks, state, noise=None, **kwargs)",
        f"{FLOW}.denoise_step": "(self, prefix_pad_masks, past_key_values, x_t, timestep)",
        f"{FLOW}.embed_prefix": "(self, images, img_masks, lang_tokens, lang_masks, state=None)",
        f"{FLOW}.embed_suffix": "(self, noisy_actions, timestep)",
    },
    "lerobot_policy_world_modality/configuration_smolvla_world.py": {
        f"{CONFIG}.__post_init__": "(self)",
        f"{CONFIG}.get_optimizer_preset": "(self)",
        f"{CONFIG}.get_scheduler_preset": "(self)",
        f"{CONFIG}.optimizer_grad_clip_norm": "10",
        f"{CONFIG}.push_to_hub": "True",
        "lerobot.configs:PreTrainedConfig.register_subclass": "(name, choice_type=None)",
    },
    "lerobot_policy_world_modality/configuration_smolvla_world_earlier.py": {
        CONFIG: "class",
        f"{CONFIG}.__post_init__": "(self)",
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.register_subclass": "(name, choice_type=None)",
    },
    "lerobot_policy_world_modality/optimizer.py": {
        "lerobot.optim:OptimizerConfig.register_subclass": "(name, choice_type=None)",
        "lerobot.optim:OptimizerConfig.build": "(self, params)",
    },
    "lerobot_policy_world_modality/processor_smolvla_world.py": {
        "lerobot.policies.smolvla.processor_smolvla:make_smolvla_pre_post_processors": "(config, dataset_stats=None)",
        "lerobot.processor:PolicyProcessorPipeline.save_pretrained": (
            "(self, save_directory=None, *, repo_id=None, push_to_hub=False, card_kwargs=None, config_filename=None, "
            "**push_to_hub_kwargs)"
        ),
        "lerobot.processor:TokenizerProcessorStep": "class",
    },
    "lerobot_policy_world_modality/world_parts.py": {
        "lerobot.configs:FeatureType.VISUAL": VISUAL,
        "lerobot.utils.feature_utils:dataset_to_policy_features": "(features)",
    },
    "lerobot_policy_world_modality/convert.py": {
        "lerobot.configs:PreTrainedConfig.from_pretrained": PRETRAINED_CONFIG,
        "lerobot.policies.pretrained:PreTrainedPolicy.save_pretrained": (
            "(self, save_directory, *, state_dict=None, repo_id=None, push_to_hub=False, card_kwargs=None, "
            "**push_to_hub_kwargs)"
        ),
        "lerobot.policies.factory:get_policy_class": "(name)",
    },
}

POLICIES: Table = {
    "world_modality/checks/normalisation.py": {
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.get_choice_class": "(name)",
    },
    "world_modality/policies/precision.py": {
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.get_choice_class": "(name)",
    },
    "world_modality/data/tables.py": {
        "lerobot.datasets:io_utils": "module",
        "lerobot.datasets.io_utils:Dataset": "class",
    },
    "world_modality/policies/trusted.py": {
        "lerobot.processor:ProcessorStep": "class",
        "lerobot.policies.factory:make_pre_post_processors": MAKE_PROCESSORS,
    },
    "world_modality/policies/checkpoint.py": {
        "lerobot.processor:NormalizerProcessorStep": "class",
        "lerobot.processor:UnnormalizerProcessorStep": "class",
        "lerobot.configs:PreTrainedConfig.from_pretrained": PRETRAINED_CONFIG,
        "lerobot.configs:PreTrainedConfig.get_known_choices": "()",
    },
    "world_modality/policies/host.py": {
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.get_choice_class": "(name)",
        "lerobot.configs.types:FeatureType.VISUAL": VISUAL,
        "lerobot.configs.types:FeatureType.STATE": STATE,
        "lerobot.configs.types:FeatureType.ACTION": ACTION,
        "lerobot.configs.types:PolicyFeature.__init__": "(self, type, shape)",
        "lerobot.policies.factory:get_policy_class": "(name)",
        "lerobot.policies.pretrained:PreTrainedPolicy.from_pretrained": PRETRAINED,
        f"{POLICY}.predict_action_chunk": "(self, batch, noise=None, **kwargs)",
        "lerobot.policies.act.modeling_act:ACTPolicy.predict_action_chunk": "(self, batch)",
        f"{DIFFUSION}:DiffusionPolicy.predict_action_chunk": "(self, batch, noise=None)",
        f"{DIFFUSION}:DiffusionModel.conditional_sample": (
            "(self, batch_size, global_cond=None, generator=None, noise=None)"
        ),
        "lerobot.policies.pi0.modeling_pi0:PI0Policy.predict_action_chunk": "(self, batch, **kwargs)",
        "lerobot.policies.pi0.modeling_pi0:PI0Pytorch.sample_actions": FLOW_WITH_STATE,
        "lerobot.policies.pi05.modeling_pi05:PI05Policy.predict_action_chunk": "(self, batch, **kwargs)",
        "lerobot.policies.pi05.modeling_pi05:PI05Pytorch.sample_actions": FLOW_WITHOUT_STATE,
        "diffusers:DDPMScheduler.step": "(self, model_output, timestep, sample, generator=None, return_dict=True)",
        "diffusers:DDIMScheduler.step": (
            "(self, model_output, timestep, sample, eta=0.0, use_clipped_model_output=False, generator=None, "
            "variance_noise=None, return_dict=True)"
        ),
    },
    "world_modality/policies/smolvla.py": {
        f"{CONFIG}.max_action_dim": "32",
        f"{CONFIG}.max_state_dim": "32",
        f"{CONFIG}.resize_imgs_with_padding": "(512, 512)",
    },
    "world_modality/benchmarks/libero/compiled.py": {
        "robosuite.utils.binding_utils:MjSim": "class",
    },
    "world_modality/offline/judged.py": {
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.from_pretrained": ANY,
        "lerobot.policies.factory:get_policy_class": "(name)",
    },
    "world_modality/policies/world_transformer.py": {
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.from_pretrained": (
            "(pretrained_name_or_path, *, force_download=False, resume_download=None, proxies=None, token=None, "
            "cache_dir=None, local_files_only=False, revision=None, **policy_kwargs)"
        ),
        "lerobot.configs.types:FeatureType": "class",
        "lerobot.configs.types:FeatureType.VISUAL": "<FeatureType.VISUAL: 'VISUAL'>",
    },
    "world_modality/policies/smolvla_earlier.py": {
        "lerobot.policies.factory:get_policy_class": "(name)",
    },
    "world_modality/encoders/vjepa2.py": {
        "lerobot.policies.common.vla_utils:resize_with_pad": "(img, height, width, *, pad_value)",
    },
    "world_modality/policies/pi0.py": {
        "lerobot.policies.pi05.modeling_pi05:PI05Policy._fix_pytorch_state_dict_keys": (
            "(self, state_dict, model_config)"
        ),
    },
    "world_modality/policies/chunk_policy.py": {
        "lerobot.envs.utils:preprocess_observation": "(observations)",
        "lerobot.processor:AbsoluteActionsProcessorStep": "class",
        "lerobot.utils.constants:OBS_IMAGES": "'observation.images'",
    },
}

TRAINING: Table = {
    "world_modality/training/launch.py": {
        f"{SCRIPT}:main": "()",
        f"{SCRIPT}:update_policy": UPDATE_POLICY,
        f"{SCRIPT}:init_logging": (
            "(log_file=None, display_pid=False, console_level='INFO', file_level='DEBUG', accelerator=None)"
        ),
        f"{SCRIPT}:inside_slurm": "()",
        f"{SCRIPT}:make_train_eval_datasets": "(cfg)",
        f"{SCRIPT}:save_checkpoint": SAVE_CHECKPOINT,
        f"{SCRIPT}:should_save_checkpoint": "(step, save_freq, total_steps)",
        f"{SCRIPT}:EpisodeAwareSampler.__init__": (
            "(self, dataset_from_indices, dataset_to_indices, episode_indices_to_use=None, drop_n_first_frames=0, "
            "drop_n_last_frames=0, shuffle=False, seed=0, absolute_to_relative_idx=None)"
        ),
        f"{SCRIPT}:compute_sampler_state": "(step, num_frames, batch_size, num_processes)",
        f"{SCRIPT}:cycle": "(iterable)",
        f"{SCRIPT}:make_optimizer_and_scheduler": "(cfg, policy)",
        f"{SCRIPT}:make_pre_post_processors": MAKE_PROCESSORS,
        f"{SCRIPT}:update_last_checkpoint": "(checkpoint_dir)",
        "lerobot.scripts:lerobot_train": "module",
        f"{SCRIPT}:EpisodeAwareSampler.__iter__": "(self)",
        f"{SCRIPT}:EpisodeAwareSampler.__len__": "(self)",
        f"{SCRIPT}:EpisodeAwareSampler.load_state_dict": "(self, state)",
        f"{SCRIPT}:EpisodeAwareSampler.set_epoch": "(self, epoch)",
    },
    "world_modality/training/arguments.py": {
        "lerobot.configs:parser.wrap": "(config_path=None)",
        "lerobot.configs.train:TrainPipelineConfig.validate": "(self)",
        "lerobot.configs.train:TrainPipelineConfig.to_dict": "(self)",
        "lerobot.configs.train:TrainPipelineConfig.save_pretrained": (
            "(self, save_directory, *, repo_id=None, push_to_hub=False, card_kwargs=None, **push_to_hub_kwargs)"
        ),
        "lerobot.utils.import_utils:register_third_party_plugins": "()",
    },
    "world_modality/training/earlier_part.py": {
        "lerobot.common.train_utils:get_step_checkpoint_dir": "(output_dir, total_steps, step)",
        "lerobot.common.train_utils:load_training_step": "(save_dir)",
        "lerobot.utils.constants:PRETRAINED_MODEL_DIR": "'pretrained_model'",
        "lerobot.utils.constants:TRAINING_STATE_DIR": "'training_state'",
    },
    "world_modality/training/stage.py": {
        "lerobot.utils.constants:PRETRAINED_MODEL_DIR": "'pretrained_model'",
        "lerobot.utils.constants:TRAINING_STATE_DIR": "'training_state'",
    },
    "world_modality/training/checkpoints.py": {
        "lerobot.common.train_utils:get_step_identifier": "(step, total_steps)",
        "lerobot.utils.constants:CHECKPOINTS_DIR": "'checkpoints'",
        "lerobot.utils.constants:PRETRAINED_MODEL_DIR": "'pretrained_model'",
    },
    "world_modality/training/metrics.py": {
        "lerobot.utils.logging_utils:MetricsTracker.to_dict": "(self, use_avg=True)",
    },
    "world_modality/training/frames.py": {
        "lerobot.policies.common.vla_utils:resize_with_pad": "(img, height, width, *, pad_value)",
        "lerobot.datasets.dataset_reader:DatasetReader.get_item": "(self, idx)",
        "lerobot.datasets.dataset_reader:DatasetReader._query_hf_dataset": "(self, query_indices)",
        "lerobot.datasets.dataset_reader:DatasetReader._query_videos": "(self, query_timestamps, ep_idx)",
    },
    "tests/bench/real_size.py": {
        f"{CONFIG}.chunk_size": "50",
        f"{CONFIG}.num_vlm_layers": "16",
        f"{CONFIG}.num_expert_layers": "-1",
        f"{CONFIG}.expert_width_multiplier": "0.75",
        f"{CONFIG}.self_attn_every_n_layers": "2",
        f"{CONFIG}.attention_mode": "'cross_attn'",
        f"{CONFIG}.freeze_vision_encoder": "True",
        f"{CONFIG}.train_expert_only": "True",
    },
}

DATA: Table = {
    "world_modality/data/episodes.py": {
        "lerobot.datasets.dataset_metadata:LeRobotDatasetMetadata.__init__": (
            "(self, repo_id, root=None, revision=None, force_cache_sync=False, metadata_buffer_size=10, *, "
            "repo_type='dataset', token=None)"
        ),
    },
    "world_modality/data/frames.py": {
        "lerobot.datasets.dataset_metadata:LeRobotDatasetMetadata.get_data_file_path": "(self, ep_index)",
        "lerobot.datasets.dataset_metadata:LeRobotDatasetMetadata.get_video_file_path": "(self, ep_index, vid_key)",
        "lerobot.datasets.video_utils:decode_video_frames": (
            "(video_path, timestamps, tolerance_s, backend=None, return_uint8=False, is_depth=False)"
        ),
    },
    "world_modality/data/writer.py": {
        "lerobot.datasets.lerobot_dataset:LeRobotDataset.create": (
            "(repo_id, fps, features, root=None, robot_type=None, use_videos=True, tolerance_s=0.0001, "
            "image_writer_processes=0, image_writer_threads=0, video_backend=None, batch_encoding_size=1, "
            "rgb_encoder=None, depth_encoder=None, metadata_buffer_size=10, streaming_encoding=False, "
            "encoder_queue_maxsize=30, encoder_threads=None, video_files_size_in_mb=None, data_files_size_in_mb=None)"
        ),
        "lerobot.datasets.lerobot_dataset:LeRobotDataset.save_episode": (
            "(self, episode_data=None, parallel_encoding=True)"
        ),
        "lerobot.datasets.lerobot_dataset:LeRobotDataset.finalize": "(self)",
        "lerobot.datasets:compute_stats.sample_images": "(image_paths)",
    },
}

SIMULATOR: Table = {
    "world_modality/facts/benchmarks.py": {
        "lerobot.envs.libero:TASK_SUITE_MAX_STEPS.libero_spatial": "280",
        "lerobot.envs.libero:TASK_SUITE_MAX_STEPS.libero_object": "280",
        "lerobot.envs.libero:TASK_SUITE_MAX_STEPS.libero_goal": "300",
        "lerobot.envs.libero:TASK_SUITE_MAX_STEPS.libero_10": "520",
        "lerobot.envs.libero:TASK_SUITE_MAX_STEPS.libero_90": "400",
    },
    "world_modality/benchmarks/libero/simulator.py": {
        "lerobot.envs.libero:get_libero_dummy_action": "()",
        "lerobot.processor.env_processor:LiberoProcessorStep._quat2axisangle": "(self, quat)",
        "libero.libero:get_assets_path": "()",
        "libero.libero.envs.env_wrapper:ControlEnv": "class",
        "libero.libero.envs.bddl_base_domain:BDDLBaseDomain._post_process": "(self)",
        "robosuite.environments.base:MujocoEnv.step": "(self, action)",
        "robosuite.environments.base:MujocoEnv.reset": "(self)",
        "robosuite.environments.base:MujocoEnv._post_action": "(self, action)",
        "robosuite.utils.errors:RandomizationError": "class",
        "robosuite.utils.observables:Observable.set_enabled": "(self, enabled)",
        "robosuite.utils.observables:Observable.set_active": "(self, active)",
    },
    "world_modality/benchmarks/libero/arm.py": {
        "robosuite.environments.base:MujocoEnv._pre_action": "(self, action, policy_step=False)",
        "robosuite.controllers.osc:OperationalSpaceController": "class",
        "robosuite.controllers.osc:OperationalSpaceController.set_goal": "(self, action, set_pos=None, set_ori=None)",
        "robosuite.controllers.osc:OperationalSpaceController.run_controller": "(self)",
        "robosuite.controllers.base_controller:Controller.scale_action": "(self, action)",
        "robosuite.models.grippers.panda_gripper:PandaGripper": "class",
        "robosuite.models.grippers.panda_gripper:PandaGripper.format_action": "(self, action)",
        "robosuite.utils.transform_utils:axisangle2quat": "(vec)",
        "robosuite.utils.transform_utils:quat2mat": "(quaternion)",
        "robosuite.utils:transform_utils": "module",
    },
    "world_modality/benchmarks/libero/law.py": {
        "robosuite.utils.control_utils:opspace_matrices": "(mass_matrix, J_full, J_pos, J_ori)",
        "robosuite.utils.control_utils:nullspace_torques": (
            "(mass_matrix, nullspace_matrix, initial_joint, joint_pos, joint_vel, joint_kp=10)"
        ),
        "robosuite.utils.control_utils:orientation_error": "(desired, current)",
        "robosuite.utils.numba:jit_decorator": "(func)",
    },
    "world_modality/benchmarks/libero/tasks.py": {
        "libero.libero:benchmark.get_benchmark_dict": "(help=False)",
        "libero.libero:get_libero_path": "(query_key)",
    },
    "world_modality/benchmarks/libero/distance.py": {
        "libero.libero.envs.object_states.base_object_states:ObjectState.check_ontop": "(self, other)",
        "libero.libero.envs.object_states.base_object_states:ObjectState.is_close": "(self)",
        "libero.libero.envs.object_states.base_object_states:ObjectState.is_open": "(self)",
        "libero.libero.envs.object_states.base_object_states:ObjectState.turn_off": "(self)",
        "libero.libero.envs.object_states.base_object_states:ObjectState.turn_on": "(self)",
        "libero.libero.envs.object_states.base_object_states:SiteObjectState.check_contain": "(self, other)",
        "libero.libero.envs.object_states.base_object_states:SiteObjectState.check_ontop": "(self, other)",
        "libero.libero.envs.objects.site_object:SiteObject.in_box": "(self, this_position, this_mat, other_position)",
    },
    "world_modality/benchmarks/libero/perturbed.py": {
        "libero.libero.envs.base_object:OBJECTS_DICT": ANY,
        "libero.libero.envs.base_object:VISUAL_CHANGE_OBJECTS_DICT": ANY,
    },
    "world_modality/benchmarks/lerobot_env/simulator.py": {
        "lerobot.envs.factory:make_env": (
            "(cfg, n_envs=1, use_async_envs=False, hub_cache_dir=None, trust_remote_code=False)"
        ),
        "lerobot.envs.factory:make_env_config": "(env_type, **kwargs)",
        "lerobot.utils.import_utils:register_third_party_plugins": "()",
    },
    "world_modality/benchmarks/metaworld/tasks.py": {
        "lerobot.envs.metaworld:TASK_NAME_TO_ID": ANY,
        "lerobot.envs.metaworld:TASK_DESCRIPTIONS": ANY,
        "lerobot.envs.metaworld:DIFFICULTY_TO_TASKS": ANY,
    },
    "world_modality/benchmarks/metaworld/simulator.py": {
        "lerobot.envs.metaworld:MetaworldEnv._ensure_env": "(self)",
        "metaworld.env_dict:ALL_V3_ENVIRONMENTS": ANY,
        "metaworld.sawyer_xyz_env:SawyerXYZEnv.max_path_length": "500",
        "metaworld.sawyer_xyz_env:SawyerXYZEnv.reset": "(self, seed=None, options=None)",
        "metaworld.sawyer_xyz_env:SawyerXYZEnv.seed": "(self, seed)",
        "metaworld.sawyer_xyz_env:SawyerXYZEnv.set_task": "(self, task)",
        "metaworld.sawyer_xyz_env:SawyerXYZEnv.step": "(*args, **kwargs)",
    },
    "world_modality/benchmarks/metaworld/expert.py": {
        "metaworld.policies:ENV_POLICY_MAP": ANY,
    },
    "world_modality/benchmarks/metaworld/preload.py": {
        "metaworld:env_dict": "module",
        "metaworld:policies": "module",
    },
}

ALONE: Table = {
    "lerobot_policy_world_modality/strip.py": {
        "lerobot.configs:PreTrainedConfig.from_pretrained": PRETRAINED_CONFIG,
        "lerobot.configs:PreTrainedConfig.get_choice_class": "(name)",
        "lerobot.policies.factory:get_policy_class": "(name)",
    },
    "world_modality/cli/fetch.py": {
        "lerobot.configs:PreTrainedConfig": "class",
        "lerobot.configs:PreTrainedConfig.get_choice_class": "(name)",
    },
    "world_modality/cli/lerobot_scripts.py": {
        "lerobot.configs.parser:parse_arg": "(arg_name, args=None)",
        "lerobot.scripts:lerobot_eval": "module",
        "lerobot.scripts:lerobot_train": "module",
        "lerobot.scripts.lerobot_eval:main": "()",
        "lerobot.scripts.lerobot_eval:eval_policy_all": ANY,
        f"{SCRIPT}:main": "()",
        f"{SCRIPT}:make_pre_post_processors": MAKE_PROCESSORS,
        f"{SCRIPT}:save_checkpoint": SAVE_CHECKPOINT,
        "lerobot.scripts.lerobot_eval:make_pre_post_processors": MAKE_PROCESSORS,
        "lerobot.utils.constants:CHECKPOINTS_DIR": "'checkpoints'",
    },
    "world_modality/benchmarks/libero/libero_config.py": {
        "libero:libero": "module",
        "libero.libero:_assets_path_cache": ANY,
        "libero.libero:get_assets_path": "()",
    },
}

ENVIRONMENT: Table = {
    "plugins/lerobot_env_world_modality/lerobot_env_world_modality/configuration.py": {
        "lerobot.configs:FeatureType.VISUAL": VISUAL,
        "lerobot.configs:FeatureType.STATE": STATE,
        "lerobot.configs:FeatureType.ACTION": ACTION,
        "lerobot.configs:PolicyFeature.__init__": "(self, type, shape)",
        "lerobot.envs.configs:EnvConfig.register_subclass": "(name, choice_type=None)",
        "lerobot.envs.configs:EnvConfig.task": "None",
        "lerobot.envs.configs:EnvConfig.fps": "30",
        "lerobot.envs.configs:EnvConfig.gym_kwargs": ANY,
        "lerobot.envs.configs:EnvConfig.create_envs": "(self, n_envs, use_async_envs=False)",
        "lerobot.envs.configs:EnvConfig.get_env_processors": "(self)",
        "lerobot.envs.utils:_LazyAsyncVectorEnv.__init__": (
            "(self, env_fns, observation_space=None, action_space=None, metadata=None)"
        ),
        "lerobot.envs.utils:freeze_after_episode_end": "(env_fn)",
        "lerobot.utils.constants:ACTION": "'action'",
        "lerobot.utils.constants:OBS_IMAGE": "'observation.image'",
        "lerobot.utils.constants:OBS_IMAGES": "'observation.images'",
        "lerobot.utils.constants:OBS_STATE": "'observation.state'",
    },
    "world_modality/benchmarks/gym_env.py": {
        "lerobot.envs.utils:preprocess_observation": "(observations)",
        "lerobot.scripts.lerobot_eval:rollout": ANY,  # asks for task_description, task and _max_episode_steps
    },
}

JUDGED: Table = {
    "tests/support/onlookers.py": {
        "lerobot.configs.parser:parse_arg": "(arg_name, args=None)",
        "lerobot.envs.libero:LiberoEnv.reset": "(self, seed=None, **kwargs)",
        "lerobot.envs.libero:LiberoEnv.step": "(self, action)",
        "lerobot.policies.factory:get_policy_class": "(name)",
        "lerobot.scripts:lerobot_eval": "module",
        "lerobot.scripts.lerobot_eval:main": "()",
    },
    "tests/bench/bench_conditions.py": {
        "lerobot.scripts:lerobot_train": "module",
        f"{SCRIPT}:main": "()",
        f"{SCRIPT}:update_policy": UPDATE_POLICY,
    },
    "world_modality/training/prophet.py": {
        "lerobot.processor.converters:create_transition": (
            "(observation=None, action=None, reward=0.0, done=False, truncated=False, info=None, "
            "complementary_data=None)"
        ),
        "lerobot.processor:NormalizerProcessorStep": "class",
        "lerobot.processor:TransitionKey.ACTION": "<TransitionKey.ACTION: 'action'>",
        f"{POLICY}.prepare_action": "(self, batch)",
        f"{POLICY}._pi_aloha_encode_actions_inv": "(self, actions)",
        "lerobot.configs:PreTrainedConfig.from_pretrained": PRETRAINED_CONFIG,
        "lerobot.policies.factory:get_policy_class": "(name)",
    },
    "world_modality/training/offline.py": {
        "lerobot.configs:PreTrainedConfig.from_pretrained": PRETRAINED_CONFIG,
        "lerobot.policies.factory:get_policy_class": "(name)",
        "lerobot.datasets.factory:resolve_delta_timestamps": "(cfg, ds_meta)",
        "lerobot.datasets.lerobot_dataset:LeRobotDataset.__init__": (
            "(self, repo_id, root=None, episodes=None, episode_filter=None, image_transforms=None, "
            "delta_timestamps=None, tolerance_s=0.0001, revision=None, force_cache_sync=False, "
            "download_videos=True, video_backend=None, return_uint8=False, depth_output_unit='mm', "
            "batch_encoding_size=1, rgb_encoder=None, depth_encoder=None, encoder_threads=None, "
            "streaming_encoding=False, encoder_queue_maxsize=30, *, token=None)"
        ),
        "lerobot.utils.constants:ACTION": "'action'",
    },
    "world_modality/training/statistics.py": {
        "lerobot.datasets.compute_stats:get_feature_stats": "(array, axis, keepdims, quantile_list=None)",
    },
}

RELIED_ON: Table = {**PLUGIN, **POLICIES, **TRAINING, **DATA, **SIMULATOR, **ALONE, **ENVIRONMENT, **JUDGED}

POLICY_PARTS = {  # at their path below a policy of LeRobot's: their type
    "config.action_feature": "PolicyFeature",
    "config.adapt_to_pi_aloha": "bool",
    "config.device": "str",
    "config.image_features": "dict",
    "config.use_amp": "bool",
    "model.config.chunk_size": "int",
    "model.config.max_action_dim": "int",
    "model.action_out_proj": "Linear",
    "model.action_time_mlp_out": "Linear",
    "model.vlm_with_expert.expert_hidden_size": "int",
    "model.vlm_with_expert.num_attention_heads": "int",
    "model.vlm_with_expert.num_key_value_heads": "int",
    "model.vlm_with_expert.config.text_config.hidden_size": "int",
    "model.vlm_with_expert.config.text_config.head_dim": "int",
    "model.vlm_with_expert.lm_expert.layers": "ModuleList",
    "model.vlm_with_expert.lm_expert.layers.0.mlp": "LlamaMLP",
    "model.vlm_with_expert.lm_expert.layers.1.input_layernorm": "LlamaRMSNorm",
    "model.vlm_with_expert.lm_expert.layers.0.self_attn.q_proj": "Linear",
    "model.vlm_with_expert.lm_expert.layers.1.self_attn.o_proj": "Linear",
}
PI0_PARTS = {
    "config.action_feature": "PolicyFeature",
    "config.image_features": "dict",
    "model.config.chunk_size": "int",
    "model.config.max_action_dim": "int",
    "model.action_out_proj": "Linear",
    "model.action_time_mlp_out": "Linear",
    "model.gradient_checkpointing_enabled": "bool",
    "model.paligemma_with_expert.paligemma.config.text_config.hidden_size": "int",
    "model.paligemma_with_expert.gemma_expert.config.hidden_size": "int",
    "model.paligemma_with_expert.gemma_expert.config.num_attention_heads": "int",
    "model.paligemma_with_expert.gemma_expert.config.num_key_value_heads": "int",
    "model.paligemma_with_expert.gemma_expert.config.head_dim": "int",
    "model.paligemma_with_expert.gemma_expert.model.layers": "ModuleList",
    "model.paligemma_with_expert.gemma_expert.model.layers.0.mlp": "GemmaMLP",
    "model.paligemma_with_expert.gemma_expert.model.layers.1.input_layernorm": "PiGemmaRMSNorm",
    "model.paligemma_with_expert.gemma_expert.model.layers.0.self_attn.q_proj": "Linear",
    "model.paligemma_with_expert.gemma_expert.model.layers.1.self_attn.o_proj": "Linear",
}
DATASET_PARTS = {  # below a LeRobotDataset of pictures
    "hf_dataset": "Dataset",
    "hf_dataset._indices": "NoneType",
    "hf_dataset.data.table": "Table",
    "reader": "DatasetReader",
    "reader.hf_dataset": "Dataset",
    "reader.delta_indices": "dict",
    "meta.root": "PosixPath",
    "meta.features": "dict",
    "meta.stats": "dict",
    "meta.image_keys": "list",
    "meta.video_keys": "list",
    "meta.depth_keys": "list",
    "meta.camera_keys": "list",
    "meta.fps": "int",
    "meta.total_frames": "int",
    "meta.total_episodes": "int",
    "meta.episodes": "Dataset",
}
EPISODE_COLUMNS = {"dataset_from_index", "dataset_to_index", "length", "tasks"}
SIMULATOR_PARTS = {  # below hf-libero's environment of a task
    "timestep": "int",
    "cur_time": "float",
    "control_timestep": "float",
    "model_timestep": "float",
    "object_property_initializers": "list",
    "visualization_sites_list": "list",
    "parsed_problem.goal_state": "list",
    "objects_dict": "dict",
    "fixtures_dict": "dict",
    "object_sites_dict": "dict",
    "sim.data.get_site_xpos": "method",
    "sim.data.get_site_xmat": "method",
    "sim.model.get_joint_qpos_addr": "method",
    "obj_body_id": "dict",
    "sim.model._model": "MjModel",
    "sim.data._data": "MjData",
    "sim.data._data.contact.geom": "ndarray",
    "sim.data.body_xpos": "ndarray",
    "check_contact": "method",
    "_eval_predicate": "method",
    "get_object": "method",
    "robots.0.controller.new_update": "bool",
    "robots.0.controller.initial_joint": "ndarray",
    "robots.0.gripper.contact_geoms": "list",
    "robots.0.gripper.current_action": "ndarray",
    "robots.0.gripper.speed": "float",
    "robots.0.torque_limits": "tuple",
    "robots.0._ref_joint_actuator_indexes": "list",
    "robots.0._ref_joint_gripper_actuator_indexes": "list",
    "robots.0.eef_site_id": "int",
    "robots.0._ref_gripper_joint_pos_indexes": "list",
    "robots.0.robot_model.eef_name": "str",
}
