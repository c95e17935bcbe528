// Tensors in the form of DLPack, whose structs are laid out here as a consumer knows them.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "core/test_plugin.hpp"

using flagos::core::test::Fake;
using flagos::core::test::fake;
using flagos::core::test::FakeOptions;

namespace {

constexpr std::uint64_t forever = FLAGOS_TIMEOUT_INFINITE;

struct Tensor {
  void* data;
  std::int32_t device_type, device_id, rank;
  std::uint8_t code, bits;
  std::uint16_t lanes;
  std::int64_t *shape, *strides;
  std::uint64_t byte_offset;
};
struct Managed {
  Tensor tensor;
  void* manager;
  void (*deleter)(Managed*);
};
struct Versioned {
  std::uint32_t major, minor;
  void* manager;
  void (*deleter)(Versioned*);
  std::uint64_t flags;
  Tensor tensor;
};
static_assert(sizeof(Tensor) == 48 && sizeof(Managed) == 64 && sizeof(Versioned) == 80);

// The tensor to export, with what it points to.
struct Described {
  std::vector<std::int64_t> shape, strides;
  flagos_address_t address = 0;
  flagos_dtype_t dtype = FLAGOS_DTYPE_FLOAT32;
  std::uint32_t flags = 0;

  flagos_tensor_t tensor() const {
    flagos_tensor_t made{};
    made.struct_size = sizeof(made);
    made.dtype = dtype;
    made.address = address;
    made.flags = flags;
    made.rank = static_cast<std::uint32_t>(shape.size());
    made.shape = shape.data();
    made.strides = strides.empty() ? nullptr : strides.data();
    return made;
  }
};

flagos_status_t try_export(const Fake& f, const Described& described, std::uint32_t major = 1) {
  const flagos_tensor_t tensor = described.tensor();
  void* managed = &managed;
  const flagos_status_t status =
      flagos_dlpack_export(f.device(), &tensor, nullptr, nullptr, nullptr, nullptr, major, &managed);
  if (status != FLAGOS_STATUS_OK) CHECK(managed == nullptr);
  if (status == FLAGOS_STATUS_OK) CHECK(flagos_dlpack_release(managed, major) == FLAGOS_STATUS_OK);
  return status;
}

void count(void* data) { ++*static_cast<int*>(data); }

}  // namespace

TEST_CASE("dlpack: what is exported is what was described, and is released once") {
  Fake f;
  Described described{{2, 3}, {}, f.alloc(256)};
  const flagos_tensor_t tensor = described.tensor();
  int released = 0;
  void* managed = nullptr;
  REQUIRE(flagos_dlpack_export(f.device(), &tensor, nullptr, nullptr, count, &released, 1, &managed) ==
          FLAGOS_STATUS_OK);
  described.shape = {0, 0};  // the export has its own
  auto* const versioned = static_cast<Versioned*>(managed);
  CHECK(versioned->major == 1);
  CHECK(versioned->flags == 0);
  CHECK(versioned->tensor.data == reinterpret_cast<void*>(static_cast<std::uintptr_t>(tensor.address)));
  CHECK(versioned->tensor.device_type == 1);
  CHECK(versioned->tensor.rank == 2);
  CHECK(versioned->tensor.code == 2);
  CHECK(versioned->tensor.bits == 32);
  CHECK(versioned->tensor.lanes == 1);
  CHECK(versioned->tensor.shape[1] == 3);
  CHECK(versioned->tensor.strides[0] == 3);
  CHECK(versioned->tensor.strides[1] == 1);
  CHECK(released == 0);
  versioned->deleter(versioned);
  CHECK(released == 1);
  REQUIRE(flagos_dlpack_export(f.device(), &tensor, nullptr, nullptr, count, &released, 0, &managed) ==
          FLAGOS_STATUS_OK);
  CHECK(static_cast<Managed*>(managed)->tensor.device_id == 0);
  CHECK(flagos_dlpack_release(managed, 0) == FLAGOS_STATUS_OK);
  CHECK(released == 2);
  CHECK(flagos_dlpack_release(nullptr, 1) == FLAGOS_STATUS_OK);
  CHECK(flagos_dlpack_release(nullptr, 2) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
}

TEST_CASE("dlpack: read-only needs major 1") {
  Fake f;
  Described described{{4}, {}, f.alloc(256)};
  described.flags = FLAGOS_TENSOR_FLAG_READ_ONLY;
  const flagos_tensor_t tensor = described.tensor();
  void* managed = nullptr;
  REQUIRE(flagos_dlpack_export(f.device(), &tensor, nullptr, nullptr, nullptr, nullptr, 1, &managed) ==
          FLAGOS_STATUS_OK);
  CHECK(static_cast<Versioned*>(managed)->flags == 1);
  flagos_tensor_t seen{};
  seen.struct_size = sizeof(seen);
  CHECK(flagos_dlpack_import(f.device(), managed, 1, &seen) == FLAGOS_STATUS_OK);
  CHECK(seen.flags == FLAGOS_TENSOR_FLAG_READ_ONLY);
  CHECK(flagos_dlpack_release(managed, 1) == FLAGOS_STATUS_OK);
  CHECK(try_export(f, described, 0) == FLAGOS_STATUS_INVALID_ARGUMENT);
  CHECK(try_export(f, described, 2) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
}

TEST_CASE("dlpack: every element lies in the allocation") {
  Fake f;
  const flagos_address_t base = f.alloc(256);
  constexpr auto ok = FLAGOS_STATUS_OK;
  constexpr auto bad = FLAGOS_STATUS_INVALID_ARGUMENT;
  CHECK(try_export(f, {{8, 8}, {}, base}) == ok);
  CHECK(try_export(f, {{8, 8}, {}, base + 4}) == bad);
  CHECK(try_export(f, {{65}, {}, base}) == bad);
  CHECK(try_export(f, {{8, 8}, {1, 8}, base}) == ok);
  CHECK(try_export(f, {{8, 8}, {1, 9}, base}) == bad);
  CHECK(try_export(f, {{64}, {-1}, base + 252}) == ok);
  CHECK(try_export(f, {{65}, {-1}, base + 252}) == bad);
  CHECK(try_export(f, {{8, 1000}, {8, 0}, base}) == ok);  // the same element a thousand times
  CHECK(try_export(f, {{}, {}, base + 252}) == ok);       // a scalar
  CHECK(try_export(f, {{}, {}, base + 253}) == bad);
  CHECK(try_export(f, {{1}, {}, 0}) == bad);
  CHECK(try_export(f, {{2}, {-1}, 4}) == bad);
  constexpr std::int64_t huge = INT64_MAX;
  CHECK(try_export(f, {{huge}, {}, base}) == bad);
  CHECK(try_export(f, {{huge, huge}, {}, base}) == bad);
  CHECK(try_export(f, {{2}, {INT64_MIN}, base}) == bad);
  CHECK(try_export(f, {{huge}, {INT64_MIN}, base}) == bad);
  CHECK(try_export(f, {{-1}, {}, base}) == bad);
}

TEST_CASE("dlpack: a tensor without elements is one, whatever its other dimensions") {
  Fake f;
  constexpr std::int64_t huge = INT64_MAX;
  for (const std::vector<std::int64_t>& shape :
       {std::vector<std::int64_t>{0}, {0, huge, huge}, {huge, 0, huge}, {huge, huge, 0}}) {
    CHECK(try_export(f, {shape, {}, 0}) == FLAGOS_STATUS_OK);
    CHECK(try_export(f, {shape, std::vector<std::int64_t>(shape.size(), huge), 0}) == FLAGOS_STATUS_OK);
  }
}

TEST_CASE("dlpack: small elements are packed, wide ones have lanes") {
  Fake f;
  Described described{{512}, {}, f.alloc(256), FLAGOS_MAKE_DTYPE(1, 4, 1)};
  CHECK(try_export(f, described) == FLAGOS_STATUS_OK);
  described.shape = {513};
  CHECK(try_export(f, described) == FLAGOS_STATUS_INVALID_ARGUMENT);
  described.shape = {16};
  described.dtype = FLAGOS_MAKE_DTYPE(2, 32, 4);
  CHECK(try_export(f, described) == FLAGOS_STATUS_OK);
  described.shape = {17};
  CHECK(try_export(f, described) == FLAGOS_STATUS_INVALID_ARGUMENT);
  described.shape = {1};
  described.dtype = FLAGOS_DTYPE_NONE;
  CHECK(try_export(f, described) == FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("dlpack: ranks up to 64") {
  Fake f;
  Described described{std::vector<std::int64_t>(64, 1), {}, f.alloc(256)};
  CHECK(try_export(f, described) == FLAGOS_STATUS_OK);
  described.shape.push_back(1);
  CHECK(try_export(f, described) == FLAGOS_STATUS_INVALID_ARGUMENT);
  flagos_tensor_t tensor = described.tensor();
  tensor.rank = 3;
  tensor.shape = nullptr;
  void* managed = nullptr;
  CHECK(flagos_dlpack_export(f.device(), &tensor, nullptr, nullptr, nullptr, nullptr, 1, &managed) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("dlpack: host memory is a tensor's place only where the device works in it") {
  FakeOptions options;
  options.foreign_memory = 2;
  Fake f(options);
  std::vector<float> values(16);
  const Described described{{16}, {}, reinterpret_cast<std::uintptr_t>(values.data())};
  CHECK(try_export(f, described) == FLAGOS_STATUS_OK);
  const flagos_tensor_t tensor = described.tensor();
  void* managed = nullptr;
  CHECK(flagos_dlpack_export(f.open(1), &tensor, nullptr, nullptr, nullptr, nullptr, 1, &managed) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
}

TEST_CASE("dlpack: the consumer waits for the producer") {
  Fake f;
  const Described described{{64}, {}, f.alloc(256)};
  const flagos_tensor_t tensor = described.tensor();
  flagos_stream_t* const producer = f.stream();
  flagos_stream_t* const consumer = f.stream();
  const flagos_address_t target = f.alloc(256);
  const std::uint8_t three = 3;
  void* managed = nullptr;
  fake().hold = true;
  REQUIRE(flagos_memory_fill(producer, tensor.address, &three, 1, 256) == FLAGOS_STATUS_OK);
  REQUIRE(flagos_dlpack_export(f.device(), &tensor, producer, consumer, nullptr, nullptr, 1, &managed) ==
          FLAGOS_STATUS_OK);
  REQUIRE(flagos_memory_copy(consumer, target, tensor.address, 256) == FLAGOS_STATUS_OK);
  fake().hold = false;
  REQUIRE(flagos_stream_synchronize(consumer, forever) == FLAGOS_STATUS_OK);
  CHECK(*reinterpret_cast<std::uint8_t*>(static_cast<std::uintptr_t>(target + 255)) == 3);
  CHECK(flagos_dlpack_release(managed, 1) == FLAGOS_STATUS_OK);

  // Without a consumer the call waits, and tells what failed; nothing is handed out then.
  int released = 0;
  REQUIRE(f.launch(producer, "fail") == FLAGOS_STATUS_OK);
  CHECK(flagos_dlpack_export(f.device(), &tensor, producer, nullptr, count, &released, 1, &managed) ==
        FLAGOS_STATUS_EXECUTION_FAILED);
  CHECK(managed == nullptr);
  CHECK(released == 0);
  flagos_stream_t* const foreign = f.stream(f.open(0));
  CHECK(flagos_dlpack_export(f.device(), &tensor, foreign, nullptr, nullptr, nullptr, 1, &managed) ==
        FLAGOS_STATUS_INVALID_ARGUMENT);
  REQUIRE(flagos_stream_destroy(foreign) == FLAGOS_STATUS_OK);
  CHECK(flagos_dlpack_export(f.device(), &tensor, nullptr, foreign, nullptr, nullptr, 1, &managed) ==
        FLAGOS_STATUS_INVALID_HANDLE);
}

TEST_CASE("dlpack: tensors of others, and those that are refused") {
  Fake f;
  std::vector<float> values(32);
  std::int64_t shape[] = {2, 3}, strides[] = {4, 1};
  Versioned other{1, 3, nullptr, nullptr, 0, {values.data(), 1, 0, 2, 2, 32, 1, shape, strides, 16}};
  flagos_tensor_t seen{};
  seen.struct_size = sizeof(seen);
  const auto import = [&](const Versioned& managed) { return flagos_dlpack_import(f.device(), &managed, 1, &seen); };
  REQUIRE(import(other) == FLAGOS_STATUS_OK);
  CHECK(seen.address == reinterpret_cast<std::uintptr_t>(values.data() + 4));
  CHECK(seen.dtype == FLAGOS_DTYPE_FLOAT32);
  CHECK(seen.rank == 2);
  CHECK(seen.shape == shape);
  CHECK(seen.strides == strides);
  const Managed old{other.tensor, nullptr, nullptr};
  CHECK(flagos_dlpack_import(f.device(), &old, 0, &seen) == FLAGOS_STATUS_OK);
  CHECK(flagos_dlpack_release(&other, 1) == FLAGOS_STATUS_OK);  // it has no deleter

  const auto spoilt = [&](auto&& spoil) {
    Versioned bad = other;
    spoil(bad);
    seen.rank = 9;
    const flagos_status_t status = import(bad);
    CHECK(seen.rank == 0);
    return status;
  };
  constexpr auto bad_argument = FLAGOS_STATUS_INVALID_ARGUMENT;
  CHECK(spoilt([](Versioned& bad) { bad.major = 2; }) == FLAGOS_STATUS_UNSUPPORTED_VERSION);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.device_type = 2; }) == bad_argument);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.rank = -1; }) == bad_argument);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.rank = 65; }) == bad_argument);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.shape = nullptr; }) == bad_argument);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.bits = 0; }) == bad_argument);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.lanes = 0; }) == bad_argument);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.data = nullptr; }) == bad_argument);
  CHECK(spoilt([](Versioned& bad) { bad.tensor.byte_offset = UINT64_MAX; }) == bad_argument);
  shape[0] = -1;
  CHECK(spoilt([](Versioned&) {}) == bad_argument);
  shape[0] = INT64_MAX;
  CHECK(spoilt([](Versioned&) {}) == bad_argument);
}
