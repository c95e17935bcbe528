// Tensors that frameworks hand to flagos, and those that it hands to them.
#include <cstring>

#include "conformance/case.hpp"
#include "conformance/cases/dlpack_layout.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr auto invalid_argument = FLAGOS_STATUS_INVALID_ARGUMENT;

flagos_tensor_t tensor_at(flagos_address_t address, const std::vector<std::int64_t>& shape,
                          const std::vector<std::int64_t>& strides = {}) {
  flagos_tensor_t tensor{};
  tensor.struct_size = sizeof tensor;
  tensor.dtype = FLAGOS_DTYPE_FLOAT32;
  tensor.address = address;
  tensor.rank = static_cast<std::uint32_t>(shape.size());
  tensor.shape = shape.data();
  tensor.strides = strides.empty() ? nullptr : strides.data();
  return tensor;
}

void count(void* data) { ++*static_cast<int*>(data); }

// An export; released at the end unless somebody else does.
struct Managed {
  Managed(Context& t, const flagos_tensor_t& tensor, std::uint32_t the_major,
          flagos_stream_t* producer = nullptr, flagos_stream_t* consumer = nullptr)
      : major(the_major) {
    t.ok(flagos_dlpack_export(t.device(), &tensor, producer, consumer, &count, &released, major,
                              &managed),
         "flagos_dlpack_export");
  }
  ~Managed() { flagos_dlpack_release(managed, major); }
  Managed(const Managed&) = delete;
  Managed& operator=(const Managed&) = delete;
  const DlTensor& tensor() const {
    return major == 0 ? static_cast<DlManaged*>(managed)->tensor
                      : static_cast<DlVersioned*>(managed)->tensor;
  }
  std::uint32_t major;
  void* managed = nullptr;
  int released = 0;
};

flagos_status_t try_export(Context& t, const flagos_tensor_t& tensor, std::uint32_t major = 1) {
  void* managed = &managed;
  const flagos_status_t status = flagos_dlpack_export(t.device(), &tensor, nullptr, nullptr,
                                                      nullptr, nullptr, major, &managed);
  if (status == ok)
    flagos_dlpack_release(managed, major);
  else
    t.check(managed == nullptr, "nothing is handed out");
  return status;
}

void check_tensor(Context& t, const DlTensor& seen, flagos_address_t address) {
  t.equal(reinterpret_cast<flagos_address_t>(seen.data) + seen.byte_offset, address, "its place");
  t.check(seen.device.type == t.info().dlpack_device_type &&
              seen.device.id == t.info().dlpack_device_id,
          "its device");
  t.check(seen.dtype.code == 2 && seen.dtype.bits == 32 && seen.dtype.lanes == 1, "float32");
}

}  // namespace

// A kernel's result reaches the consumer through the tensor, byte for byte.
FLAGOS_CASE("interop.dlpack_roundtrip", {.clause = "flagos_dlpack_export, flagos_dlpack_import"}) {
  const auto data = t.random_bytes(4096);
  for (const std::uint32_t major : {0u, 1u}) {
    t.subcase("major " + std::to_string(major));
    Buffer source(t, 4096), target(t, 4096), seen(t, 4096);
    source.write(data);
    Stream producer(t), consumer(t);
    launch(t, producer, t.kernel("copy_u32"), {16, 1, 1}, {64, 1, 1},
           {arg(target.address()), arg(source.address()), arg_u32(1024)});
    const Managed managed(t, tensor_at(target.address(), {16, 64}), major, producer, consumer);
    check_tensor(t, managed.tensor(), target.address());
    flagos_tensor_t imported{};
    imported.struct_size = sizeof imported;
    t.ok(flagos_dlpack_import(t.device(), managed.managed, major, &imported), "import it");
    t.equal(imported.address, target.address(), "the imported address");
    t.check(imported.rank == 2 && imported.shape[0] == 16 && imported.shape[1] == 64, "its shape");
    t.equal(imported.dtype, FLAGOS_DTYPE_FLOAT32, "its elements");
    t.ok(flagos_memory_copy(consumer, seen.address(), imported.address, 4096),
         "copy on the consumer's stream");
    consumer.synchronize();
    t.equal_bytes(seen.read(), data, "what the kernel wrote");
  }
}

FLAGOS_CASE("interop.dlpack_strides",
            {.clause = "flagos_tensor_t::strides", .oracle = Oracle::code}) {
  Buffer memory(t, 256);
  const flagos_address_t base = memory.address();
  // Canaries are memory of the same allocation: so the ends are those of an allocation of its own.
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = 256;
  flagos_address_t own = 0;
  t.ok(flagos_memory_alloc(t.device(), &desc, &own), "allocate 256 bytes");
  struct Row {
    std::vector<std::int64_t> shape, strides;
    std::uint64_t offset;
    flagos_status_t expected;
  };
  const std::vector<Row> rows{{{8, 8}, {}, 0, ok},
                              {{8, 8}, {1, 8}, 0, ok},
                              {{8, 8}, {1, 9}, 0, invalid_argument},
                              {{64}, {-1}, 252, ok},
                              {{65}, {-1}, 252, invalid_argument},
                              {{8, 1000}, {8, 0}, 0, ok},
                              {{}, {}, 252, ok},
                              {{}, {}, 253, invalid_argument},
                              {{0, INT64_MAX}, {}, 0, ok},
                              {{INT64_MAX}, {}, 0, invalid_argument},
                              {{2}, {INT64_MIN}, 0, invalid_argument},
                              {{-1}, {}, 0, invalid_argument}};
  std::vector<flagos_status_t> statuses;
  for (const Row& row : rows)
    statuses.push_back(try_export(t, tensor_at(own + row.offset, row.shape, row.strides)));
  t.ok(flagos_memory_free(t.device(), own), "free it");
  for (std::size_t i = 0; i < rows.size(); ++i)
    t.status(statuses[i], rows[i].expected, "tensor " + std::to_string(i));
  const std::vector<std::int64_t> shape{4, 4}, strides{1, 4};
  const flagos_tensor_t dense = tensor_at(base, shape), turned = tensor_at(base, shape, strides);
  const Managed first(t, dense, 1), second(t, turned, 1);
  t.check(first.tensor().strides != nullptr && first.tensor().strides[0] == 4 &&
              first.tensor().strides[1] == 1,
          "dense strides are written out");
  t.check(second.tensor().strides[0] == 1 && second.tensor().strides[1] == 4, "strides are kept");
  t.smoke();
}

FLAGOS_CASE("interop.dlpack_read_only",
            {.clause = "FLAGOS_TENSOR_FLAG_READ_ONLY", .oracle = Oracle::code}) {
  Buffer memory(t, 256);
  const std::vector<std::int64_t> shape{64};
  flagos_tensor_t tensor = tensor_at(memory.address(), shape);
  tensor.flags = FLAGOS_TENSOR_FLAG_READ_ONLY;
  t.status(try_export(t, tensor, 0), invalid_argument, "major 0 cannot say it");
  const Managed managed(t, tensor, 1);
  t.equal(static_cast<DlVersioned*>(managed.managed)->flags & dl_flag_read_only, 1, "its flag");
  flagos_tensor_t seen{};
  seen.struct_size = sizeof seen;
  t.ok(flagos_dlpack_import(t.device(), managed.managed, 1, &seen), "import it");
  t.equal(seen.flags, FLAGOS_TENSOR_FLAG_READ_ONLY, "the flag of the import");
  t.smoke();
}

FLAGOS_CASE("interop.dlpack_refused",
            {.clause = "flagos_dlpack_import: INVALID_ARGUMENT", .oracle = Oracle::code}) {
  Buffer memory(t, 256);
  std::int64_t shape[] = {4, 16};
  const DlVersioned good{1,
                         0,
                         nullptr,
                         nullptr,
                         0,
                         {reinterpret_cast<void*>(memory.address()),
                          {t.info().dlpack_device_type, t.info().dlpack_device_id},
                          2,
                          {2, 32, 1},
                          shape,
                          nullptr,
                          0}};
  const auto import = [&](const DlVersioned& managed, const std::string& what,
                          flagos_status_t expected = invalid_argument) {
    flagos_tensor_t seen{};
    seen.struct_size = sizeof seen;
    seen.rank = 9;
    t.status(flagos_dlpack_import(t.device(), &managed, 1, &seen), expected, what);
    if (expected != ok) t.equal(seen.rank, 0, "the answer is cleared");
  };
  import(good, "a good tensor", ok);
  DlVersioned bad = good;
  bad.tensor.device.type += 1;
  import(bad, "of a device of another type");
  bad = good;
  bad.tensor.rank = -1;
  import(bad, "of negative rank");
  bad.tensor.rank = 65;
  import(bad, "of rank 65");
  bad = good;
  bad.tensor.shape = nullptr;
  import(bad, "without a shape");
  bad = good;
  bad.tensor.dtype.bits = 0;
  import(bad, "of elements of 0 bits");
  bad = good;
  bad.tensor.data = nullptr;
  import(bad, "without data");
  bad = good;
  bad.major = 2;
  import(bad, "of another major", FLAGOS_STATUS_UNSUPPORTED_VERSION);
  shape[0] = -1;
  import(good, "of a negative shape");
  shape[0] = INT64_MAX;
  import(good, "of a shape that fits no memory");
  t.smoke();
}

FLAGOS_CASE("life.exported_dlpack",
            {.clause = "flagos_dlpack_export: the deleter is the consumer's to call, once",
             .oracle = Oracle::code}) {
  Buffer memory(t, 256);
  const std::vector<std::int64_t> shape{64};
  for (const std::uint32_t major : {0u, 1u}) {
    t.subcase("major " + std::to_string(major));
    Managed consumed(t, tensor_at(memory.address(), shape), major);
    check_tensor(t, consumed.tensor(), memory.address());
    t.equal(static_cast<std::uint64_t>(consumed.released), 0, "not released yet");
    if (major == 0) {
      auto* const managed = static_cast<DlManaged*>(consumed.managed);
      managed->deleter(managed);
    } else {
      auto* const managed = static_cast<DlVersioned*>(consumed.managed);
      managed->deleter(managed);
    }
    consumed.managed = nullptr;
    t.equal(static_cast<std::uint64_t>(consumed.released), 1, "released by the deleter, once");
    Managed unconsumed(t, tensor_at(memory.address(), shape), major);
    t.ok(flagos_dlpack_release(unconsumed.managed, major), "flagos_dlpack_release");
    unconsumed.managed = nullptr;
    t.equal(static_cast<std::uint64_t>(unconsumed.released), 1, "released, once");
  }
  t.smoke();
}

}  // namespace flagos::conformance
