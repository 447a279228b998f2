from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from oracle import SCALERS, concatenated, made, plain_predictions

from fmcvqa.errors import ConfigError, FeatureError
from fmcvqa.features.matrix import FeatureMatrix
from fmcvqa.regression.folds import Fold
from fmcvqa.regression.kernels import KernelBank
from fmcvqa.regression.svr import Cell, all_cells, cell_kernel, fit_svr

TRAIN = np.random.default_rng(3).permutation(60)[:45]


def predictions(bank, mos, cell, fold, tol=1e-3):
    kernel, _ = cell_kernel(bank.fold(cell.blocks, fold), cell)
    return fit_svr(kernel, fold.train, mos, cell, tol=tol).predict(kernel)


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_predictions_equal_scikit_learn_on_the_concatenation(scaler, precision):
    features, mos = made(widths=(30, 12, 7), spread=2.0 if scaler in ("standard", "minmax") else 0.1)
    bank = KernelBank(features, precision=precision)
    # Unit lengths make training points tie: at the default tolerance scikit-learn itself then differs by 1e-3
    # between its own linear kernel and the same kernel precomputed.
    tol = 1e-9 if scaler.endswith("l2") else 1e-3
    for cell in all_cells(["A", "B", "C"]):
        found = predictions(bank, mos, cell, Fold(TRAIN, scaler), tol)
        plain = plain_predictions(features, mos, cell, TRAIN, scaler, tol=tol)
        assert np.abs(found - plain).max() < 1e-8 * mos.std(), cell


@pytest.mark.parametrize("precision, bound", [("float32", 1e-3), ("float64", 1e-8)])
@pytest.mark.parametrize("scaler", ["standard", "minmax"])
def test_wide_blocks_are_multiplied_in_the_precision_asked_for(precision, bound, scaler):
    features, mos = made(widths=(9000, 12))
    bank = KernelBank(features, precision=precision)
    for cell in all_cells(["A", "B"]):
        found = predictions(bank, mos, cell, Fold(TRAIN, scaler))
        plain = plain_predictions(features, mos, cell, TRAIN, scaler)
        assert np.abs(found - plain).max() < bound * mos.std(), cell


@pytest.mark.parametrize("seed", range(6))
def test_parity_over_random_shapes_and_settings(seed):
    rng = np.random.default_rng([seed, 9])
    count, width = int(rng.integers(20, 90)), int(rng.integers(2, 200))
    features, mos = made(count, (width,), seed=seed)
    train = rng.permutation(count)[: int(count * 0.8)]
    for gamma, kernel in product(["scale", "auto", 0.003], ["linear", "rbf"]):
        cell = Cell(layers=("A",), kernel=kernel, C=float(2 ** rng.uniform(-4, 1)), gamma=gamma)
        found = predictions(KernelBank(features), mos, cell, Fold(train))
        plain = plain_predictions(features, mos, cell, train)
        assert np.abs(found - plain).max() < 1e-8 * mos.std()


def test_float64_features_lose_nothing():
    rng = np.random.default_rng(0)
    features = FeatureMatrix([str(i) for i in range(60)], {("A", "mean"): 1e9 + rng.normal(size=(60, 20))})
    mos = features.blocks["A", "mean"][:, 0] - 1e9 + rng.normal(size=60)
    cell = Cell(layers=("A",), pools=("mean",), kernel="rbf")
    found = predictions(KernelBank(features), mos, cell, Fold(TRAIN))
    assert np.abs(found - plain_predictions(features, mos, cell, TRAIN)).max() < 1e-6


def test_a_kernel_on_hand_computed_values():
    blocks = {("A", "mean"): np.array([[1.0, 2.0], [3.0, 2.0], [5.0, 2.0]]), ("A", "max"): np.array([[1.0], [0], [2]])}
    bank = KernelBank(FeatureMatrix(["a", "b", "c"], blocks))
    kernels = bank.fold(blocks, Fold(np.array([0, 1])))
    # A/mean: mean 2, deviation 1 and a constant column; A/max: mean 0.5, deviation 0.5.
    np.testing.assert_allclose(kernels.gram([("A", "mean")]), [[1, -1, -3], [-1, 1, 3], [-3, 3, 9]])
    np.testing.assert_allclose(kernels.gram([("A", "max")]), [[1, -1, 3], [-1, 1, -3], [3, -3, 9]])
    np.testing.assert_allclose(kernels.gram(list(blocks)), [[2, -2, 0], [-2, 2, 0], [0, 0, 18]])
    assert kernels.variance(list(blocks)) == (3, pytest.approx(2 / 3))


def test_a_target_may_be_scaled_by_its_own_statistics():
    (source, _), (target, _) = made(40), made(30, seed=1)
    cell = Cell(layers=("A", "B"))
    rows = np.arange(40, 70)
    fold = Fold(np.arange(40), "standard", rows)
    gram = KernelBank(source, target=target).fold(cell.blocks, fold).gram(cell.blocks)
    X = [concatenated(part, cell) for part in (source, target)]
    scale = [np.where(x.std(axis=0) < 1e-12, 1, x.std(axis=0)) for x in X]
    Z = np.concatenate([(x - x.mean(axis=0)) / s for x, s in zip(X, scale, strict=True)])
    np.testing.assert_allclose(gram, Z @ Z.T, rtol=1e-6, atol=1e-5)


def test_each_block_is_multiplied_once_per_fold_for_all_cells():
    features, _ = made(widths=(30, 12, 7))
    bank = KernelBank(features)
    folds = [Fold(np.arange(50)), Fold(np.arange(10, 60))]
    bank.prepare(folds)
    for cell in all_cells(["A", "B", "C"]):
        for fold in folds:
            bank.fold(cell.blocks, fold)
    assert bank._cache.misses == 2 * 6


def test_a_full_cache_keeps_what_it_has_and_drops_other_folds_first():
    features, _ = made(widths=(30,), pools=("mean",))
    one = 8 * 60 * 61 // 2
    bank = KernelBank(features, cache_bytes=2 * one)
    folds = [Fold(np.arange(k, k + 40)) for k in range(3)]
    for _ in range(2):
        bank.prepare(folds)
        for fold in folds:
            bank.fold([("A", "mean")], fold)
    assert (bank._cache.hits, bank._cache.misses, bank._cache.bytes) == (2, 4, 2 * one)
    bank.prepare([Fold(np.arange(5, 45))])
    bank.fold([("A", "mean")], Fold(np.arange(5, 45)))
    assert bank._cache.bytes == one


def test_kernels_are_found_on_disk_by_the_next_process_unless_damaged(tmp_path):
    features, _ = made(widths=(4097,), pools=("mean",))
    fold = Fold(np.arange(40))
    first = KernelBank(features, folder=tmp_path).fold([("A", "mean")], fold).packed["A", "mean"]
    second = KernelBank(features, folder=tmp_path)
    np.testing.assert_array_equal(second.fold([("A", "mean")], fold).packed["A", "mean"], first)
    assert (second._cache.hits, second._cache.misses) == (1, 0)
    (file,) = tmp_path.rglob("*.gram")
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    third = KernelBank(features, folder=tmp_path)
    np.testing.assert_array_equal(third.fold([("A", "mean")], fold).packed["A", "mean"], first)
    assert third._cache.misses == 1
    assert file.read_bytes() != bytes(data)


def test_narrow_blocks_are_not_worth_a_file(tmp_path):
    features, _ = made(widths=(4096,), pools=("mean",))
    KernelBank(features, folder=tmp_path).fold([("A", "mean")], Fold(np.arange(40)))
    assert not list(tmp_path.rglob("*"))


def test_kernels_on_disk_never_take_more_than_their_limit(tmp_path):
    features, _ = made(widths=(4097,), pools=("mean",))
    size = 4 * 60 * 61 // 2 + 32
    folds = [Fold(np.arange(n)) for n in (40, 41, 42, 43)]
    bank = KernelBank(features, folder=tmp_path, disk_bytes=2 * size)
    bank.prepare(folds[:3])
    for fold in folds[:3]:
        bank.fold([("A", "mean")], fold)
    assert {file.parent.name for file in tmp_path.rglob("*.gram")} == {fold.key[:32] for fold in folds[:2]}
    bank.prepare(folds[3:])  # the folds before are no longer current: the older one makes room
    bank.fold([("A", "mean")], folds[3])
    assert {file.parent.name for file in tmp_path.rglob("*.gram")} == {folds[1].key[:32], folds[3].key[:32]}
    KernelBank(features, folder=tmp_path, disk_bytes=size - 1).fold([("A", "mean")], folds[0])
    assert sum(file.stat().st_size for file in tmp_path.rglob("*.gram")) <= 2 * size


@pytest.mark.parametrize("scaler", ["standard", "minmax"])
@pytest.mark.parametrize("kind, tolerance", [("float32", 1e-5), ("float64", 1e-12)])
def test_torch_multiplies_as_blas_does(scaler, kind, tolerance):
    from fmcvqa.regression.torch_gram import TorchGram

    features, _ = made(widths=(9000,), pools=("mean",))
    bank, fold, block = KernelBank(features, precision=kind), Fold(TRAIN, scaler), ("A", "mean")
    expected = bank.fold([block], fold).packed[block]
    scale = bank.scale(block, fold)[0]
    found = TorchGram("cpu").packed(block, features.blocks[block], scale, np.dtype(kind))
    assert found.dtype == expected.dtype == np.dtype(kind)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.gpu
def test_kernels_on_a_gpu_give_the_cpus_predictions():
    features, mos = made(widths=(9000, 12))
    for cell in all_cells(["A", "B"]):
        on_cpu, on_gpu = (predictions(KernelBank(features, device=d), mos, cell, Fold(TRAIN)) for d in ("cpu", "cuda"))
        np.testing.assert_allclose(on_gpu, on_cpu, rtol=0, atol=1e-3 * mos.std())


def test_a_device_that_is_not_there():
    with pytest.raises(ConfigError) as error:
        KernelBank(made(widths=(5,))[0], device="cuda:99")
    assert str(error.value).startswith("kernels.device=cuda:99 cannot be used. Found: ")


def test_scalings_per_sample_have_one_kernel_for_all_folds():
    assert Fold(np.arange(5), "l2").key == Fold(np.arange(7), "l2").key
    assert Fold(np.arange(5)).key != Fold(np.arange(7)).key
    assert Fold(np.arange(5)).key != Fold(np.arange(5), "standard", np.arange(5, 7)).key


def test_errors_say_what_is_there():
    features, _ = made(widths=(5,))
    bank = KernelBank(features)
    with pytest.raises(FeatureError) as error:
        bank.fold([("Mixed_5b", "mean")], Fold(TRAIN))
    assert str(error.value) == (
        "there are no features Mixed_5b/mean. Found: A/mean, A/max. "
        "Try: choose layers and poolings among these, or extract the missing ones"
    )
    with pytest.raises(FeatureError) as error:
        KernelBank(features, max_bytes=1 << 16).fold([("A", "mean")], Fold(TRAIN))
    assert str(error.value) == (
        "the kernels of 60 videos need 0.0 GiB of working memory. Found: a limit of 0.0 GiB. "
        "Try: regressor.kernel=linear with regressor.solver=primal, which needs none; fewer videos; "
        "or a larger kernels.max_gib"
    )
    with pytest.raises(FeatureError) as error:
        KernelBank(features, target=made(widths=(6,))[0])
    assert str(error.value) == (
        "the target's block A/mean has 6 columns, the source's 5. Try: extract both sets with the same recipe"
    )
    with pytest.raises(ConfigError) as error:
        Fold(TRAIN, "whiten")
    assert str(error.value) == (
        "the scaling whiten is unknown. Found: standard, minmax, none, l2, signed_sqrt, signed_sqrt_l2"
    )
    with pytest.raises(ConfigError) as error:
        Fold(TRAIN, "l2", TRAIN)
    assert str(error.value) == (
        "a target has no l2 statistics of its own. Try: use scaling=source, or one of standard, minmax"
    )


def test_a_kernel_that_overflows_is_an_error():
    block = np.random.default_rng(0).normal(size=(20, 5000)).astype(np.float32)
    block[:, 0] *= 1e-39  # its inverse deviation is beyond float32
    bank = KernelBank(FeatureMatrix([str(i) for i in range(20)], {("A", "mean"): block}))
    with pytest.raises(FeatureError) as error:
        bank.fold([("A", "mean")], Fold(np.arange(15))).gram([("A", "mean")])
    assert str(error.value) == (
        "the kernel of A/mean is not finite. "
        "Try: the features are too large or too nearly constant: use precision=float64 or another scaling"
    )
