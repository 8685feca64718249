"""What every task owes the rest, run over every task there is."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from tests.contract import TINY_MODELS, tiny_plan
from visionloop.core.errors import ConfigError, ModelError
from visionloop.data.samples import Dataset
from visionloop.task import Example, Learner, Prediction, Task, load_task, task_names
from visionloop.training.plan import TrainingPlan

NAMES = task_names()


@pytest.fixture(scope="module", params=NAMES)
def plan(request: pytest.FixtureRequest) -> TrainingPlan:
    return tiny_plan(request.param)


@pytest.fixture(scope="module")
def dataset(plan: TrainingPlan, datasets: dict[str, Dataset]) -> Dataset:
    return datasets[plan.task.name]


@pytest.fixture(scope="module")
def learner(plan: TrainingPlan, dataset: Dataset) -> Learner:
    return plan.learner(len(dataset.classes))


@pytest.fixture(scope="module")
def predictions(plan: TrainingPlan, dataset: Dataset, learner: Learner) -> list[Prediction]:
    applied = [plan.recipe.apply(dataset.read_image(sample)) for sample in dataset.samples("val")]
    with torch.inference_mode():
        raw = learner.graph().eval()(torch.from_numpy(np.stack([array for array, _ in applied])))
    outputs = {name: value.numpy() for name, value in zip(plan.task.outputs, raw, strict=True)}
    return plan.task.finish(outputs, [place for _, place in applied], plan.task.operating_point())


def batch(plan: TrainingPlan, dataset: Dataset, learner: Learner, count: int = 6) -> tuple[torch.Tensor, object]:
    samples = dataset.samples("train")[:count]
    applied = [plan.recipe.apply(dataset.read_image(sample)) for sample in samples]
    targets = [learner.target(sample, place) for sample, (_, place) in zip(samples, applied, strict=True)]
    return torch.from_numpy(np.stack([array for array, _ in applied])), learner.collate(targets)


def test_every_task_has_tiny_settings_here() -> None:
    assert set(TINY_MODELS) == set(NAMES)


def test_names(plan: TrainingPlan) -> None:
    assert load_task(plan.task.name) is plan.task
    assert "embedding" in plan.task.outputs
    assert plan.task.primary_metric in plan.task.headline_metrics


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="there is no task 'detektion'") as error:
        load_task("detektion")
    assert error.value.expected == "did you mean detection?"


def test_the_loss_falls_on_one_batch(plan: TrainingPlan, dataset: Dataset) -> None:
    learner = plan.learner(len(dataset.classes))
    images, targets = batch(plan, dataset, learner)
    learner.module.train()
    optimizer = torch.optim.AdamW(learner.module.parameters(), 3e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = learner.losses(images, targets, progress=0.0)["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.8 * losses[0]


def test_a_view_depends_on_its_seed_alone(plan: TrainingPlan, dataset: Dataset, learner: Learner) -> None:
    sample = dataset.samples("train")[0]
    image, place = plan.recipe.apply(dataset.read_image(sample))
    target, before = learner.target(sample, place), image.copy()
    first, again, other = (learner.augment(image, target, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(image, before)
    assert first.shape == image.shape
    assert first.dtype == np.uint8


def test_the_graph_exports_with_a_free_batch_axis(
    plan: TrainingPlan, dataset: Dataset, bundles: dict[str, Path]
) -> None:
    learner = plan.learner(len(dataset.classes))  # the one that was exported into the bundle
    graph = learner.graph().eval()
    session = ort.InferenceSession(str(bundles[plan.task.name] / "model.onnx"), providers=["CPUExecutionProvider"])
    for count in (1, 5):
        images, _ = batch(plan, dataset, learner, count)
        with torch.inference_mode():
            expected = graph(images)
        found = session.run(list(plan.task.outputs), {"images": images.numpy()})
        for reference, value in zip(expected, found, strict=True):
            assert value.shape[0] == count
            assert np.allclose(value, reference.numpy(), atol=1e-3 * max(1.0, float(reference.abs().max())))


def test_predictions_speak_json(plan: TrainingPlan, dataset: Dataset, predictions: list[Prediction]) -> None:
    for prediction in predictions:
        assert json.loads(json.dumps(prediction.to_record(dataset.classes)))
        assert json.dumps(prediction.to_record(dataset.classes, top_k=1, threshold=0.0))
        assert prediction.summary(dataset.classes)
        top = prediction.top(dataset.classes)
        assert top is None or (top[0] in dataset.classes and 0 <= top[1] <= 1)
        assert prediction.embedding.ndim == 1


def test_agreement_is_full_with_itself(plan: TrainingPlan, predictions: list[Prediction]) -> None:
    agreement = plan.task.agreement
    for one, other in itertools.pairwise(predictions):
        assert agreement(one, one) == 1.0
        assert 0.0 <= agreement(one, other) <= 1.0


def test_an_answer_supports_what_it_says_itself_most(plan: TrainingPlan, predictions: list[Prediction]) -> None:
    support = plan.task.support
    for one, other in itertools.permutations(predictions, 2):
        assert 0.0 <= support(other, one) <= support(one, one) <= 1.0


def test_output_summaries_have_the_same_numbers(
    plan: TrainingPlan, dataset: Dataset, predictions: list[Prediction]
) -> None:
    summaries = [plan.task.output_summary(prediction, width=64, height=48) for prediction in predictions]
    assert len({tuple(summary.scalars) for summary in summaries}) == 1
    for summary in summaries:
        assert all(value is None or np.isfinite(value) for value in summary.scalars.values())
        assert all(
            0 <= class_id < len(dataset.classes) and count > 0 for class_id, count in summary.class_counts.items()
        )
        assert summary.expected_score is None or 0 <= summary.expected_score <= 1


def test_scoring(plan: TrainingPlan, dataset: Dataset, predictions: list[Prediction]) -> None:
    scorer = plan.task.scorer(dataset.classes)
    with pytest.raises(ValueError, match="nothing was added"):
        scorer.evaluate()
    samples = dataset.samples("val")
    for sample, prediction in zip(samples, predictions, strict=True):
        scorer.add(sample, prediction)
    evaluation = scorer.evaluate()
    assert plan.task.primary_metric in evaluation.metrics
    assert [row["class"] for row in evaluation.per_class] == list(dataset.classes)
    for name in plan.task.plot_tables:
        assert evaluation.tables[name]
    assert all(len(values) == len(samples) for values in evaluation.per_image.values())
    examples = [
        Example(sample=sample, image=dataset.read_image(sample), prediction=prediction)
        for sample, prediction in zip(samples, predictions, strict=True)
    ]
    figures = plan.task.figures(evaluation, examples, dataset.classes)
    assert len({figure.name for figure in figures}) == len(figures) >= 2
    assert all(figure.png.startswith(b"\x89PNG") and figure.caption for figure in figures)


def test_drawing_leaves_the_image_alone(plan: TrainingPlan, dataset: Dataset, predictions: list[Prediction]) -> None:
    image = dataset.read_image(dataset.samples("val")[0])
    before = image.copy()
    picture = plan.task.draw(image, predictions[0], dataset.classes)
    assert picture.size >= (image.shape[1], image.shape[0])
    assert np.array_equal(image, before)


def test_an_unknown_architecture_names_its_neighbours(plan: TrainingPlan) -> None:
    task: Task = plan.task
    for wrong, near in (("resnet_18", "resnet18"), ("retinanet_resnet50", "retinanet_resnet50_fpn")):
        model = plan.model.model_copy(update={"architecture": wrong})
        with pytest.raises(ModelError, match="there is no") as error:
            task.learner(model, plan.augment, num_classes=3, recipe=plan.recipe)
        if near in error.value.expected:
            return
    pytest.fail("no neighbour was named")


def test_weights_from_a_file(plan: TrainingPlan, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "weights.pt"
    torch.save(plan.learner(5).module.state_dict(), path)
    model = plan.model.model_copy(update={"weights": str(path)})
    plan.task.learner(model, plan.augment, num_classes=5, recipe=plan.recipe)
    assert not caplog.records
    plan.task.learner(model, plan.augment, num_classes=3, recipe=plan.recipe)
    assert "starts afresh" in caplog.text


def test_weights_that_do_not_fit(plan: TrainingPlan, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    wide = plan.model.model_copy(update={"width": 16})
    torch.save(plan.task.learner(wide, plan.augment, num_classes=3, recipe=plan.recipe).module.state_dict(), path)
    model = plan.model.model_copy(update={"weights": str(path)})
    with pytest.raises(ModelError, match=r"tensors do not fit the architecture: .*: \[.*\] instead of \[.*\]"):
        plan.task.learner(model, plan.augment, num_classes=3, recipe=plan.recipe)
    torch.save([1, 2], path)
    with pytest.raises(ModelError, match="the file holds no state dict"):
        plan.task.learner(model, plan.augment, num_classes=3, recipe=plan.recipe)
    path.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="the weights cannot be read"):
        plan.task.learner(model, plan.augment, num_classes=3, recipe=plan.recipe)
    path.unlink()
    with pytest.raises(ModelError, match="the weights file does not exist"):
        plan.task.learner(model, plan.augment, num_classes=3, recipe=plan.recipe)
