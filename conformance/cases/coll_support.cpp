#include "conformance/cases/coll_support.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <thread>

namespace flagos::conformance::coll {

std::uint32_t support_of(Context& t, flagos_collective_operation_t operation, flagos_dtype_t dtype,
                         flagos_collective_reduction_t reduction) {
  flagos_collective_support_t support{};
  support.struct_size = sizeof support;
  t.ok(flagos_collective_query(t.device(), operation, dtype, reduction, &support),
       "ask what is supported");
  return support.flags;
}

bool takes(Context& t, flagos_collective_operation_t operation, flagos_dtype_t dtype,
           flagos_collective_reduction_t reduction) {
  return (support_of(t, operation, dtype, reduction) & FLAGOS_COLLECTIVE_SUPPORT_FLAG_RUNS) != 0;
}

void require_operation(Context& t, flagos_collective_operation_t operation, flagos_dtype_t dtype,
                       flagos_collective_reduction_t reduction) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  if (!takes(t, operation, dtype, reduction))
    t.not_supported("the plugin does not offer this operation");
}

void in_threads(std::uint32_t count, const std::function<void(std::uint32_t)>& body) {
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < count; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

flagos_collective_id_t make_id(Context& t) {
  flagos_collective_id_t id{};
  t.ok(flagos_collective_id_create(t.device(), &id), "make an id");
  return id;
}

flagos_status_t join(flagos_device_t* device, const flagos_collective_id_t& id, std::uint32_t rank,
                     std::uint32_t size, std::uint64_t timeout_ns, flagos_communicator_t** out) {
  flagos_communicator_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.rank = rank;
  desc.size = size;
  desc.id = &id;
  desc.timeout_ns = timeout_ns;
  return flagos_communicator_create(device, &desc, out);
}

Ranks::Ranks(Context& t, std::uint32_t size, std::uint64_t bytes, std::uint64_t timeout_ns)
    : t_(t), size_(size), all_(size) {
  t.require(FLAGOS_FEATURE_COLLECTIVE);
  const flagos_collective_id_t id = make_id(t);
  std::vector<flagos_status_t> statuses(size);
  flagos_device_t* const device = t.device();
  in_threads(size, [&](std::uint32_t i) {
    statuses[i] = join(device, id, i, size, timeout_ns, &all_[i]);
  });
  for (const flagos_status_t status : statuses) {
    if (size > 1 && status == FLAGOS_STATUS_UNSUPPORTED)
      t.resource("the plugin wants a device for each rank");
    t.ok(status, "join a communicator of " + std::to_string(size));
  }
  for (std::uint32_t i = 0; i < size; ++i) {
    streams_.push_back(std::make_unique<Stream>(t));
    sources_.push_back(std::make_unique<Buffer>(t, bytes));
    targets_.push_back(std::make_unique<Buffer>(t, bytes * size));
  }
}

Ranks::~Ranks() {
  streams_.clear();
  for (flagos_communicator_t* const communicator : all_) flagos_communicator_destroy(communicator);
}

Desc Ranks::desc(std::uint32_t i, flagos_dtype_t dtype, std::uint64_t count) {
  Desc made{};
  made.struct_size = sizeof made;
  made.dtype = dtype;
  made.count = count;
  made.source = source(i).address();
  made.target = target(i).address();
  return made;
}

std::vector<Desc> Ranks::descs(flagos_dtype_t dtype, std::uint64_t count) {
  std::vector<Desc> made;
  for (std::uint32_t i = 0; i < size_; ++i) made.push_back(desc(i, dtype, count));
  return made;
}

flagos_status_t Ranks::call(Function function, const std::vector<Desc>& descs) {
  std::vector<flagos_status_t> statuses(size_);
  in_threads(size_,
             [&](std::uint32_t i) { statuses[i] = function(all_[i], *streams_[i], &descs[i]); });
  for (const flagos_status_t status : statuses)
    if (status != FLAGOS_STATUS_OK) return status;
  return FLAGOS_STATUS_OK;
}

void Ranks::run(Function function, const std::vector<Desc>& descs) {
  t_.ok(call(function, descs), "call on all ranks");
  for (auto& stream : streams_) stream->synchronize();
}

// ---- numbers ------------------------------------------------------------------------------------

std::uint64_t width_of(flagos_dtype_t dtype) { return FLAGOS_DTYPE_BITS(dtype) / 8; }

void encode(std::uint32_t number, flagos_dtype_t dtype, std::uint8_t* out) {
  std::uint64_t bits = number;
  if (dtype == FLAGOS_DTYPE_FLOAT64) {
    bits = std::bit_cast<std::uint64_t>(static_cast<double>(number));
  } else if (dtype == FLAGOS_DTYPE_FLOAT32 || dtype == FLAGOS_DTYPE_BFLOAT16) {
    bits = std::bit_cast<std::uint32_t>(static_cast<float>(number));
    if (dtype == FLAGOS_DTYPE_BFLOAT16) bits >>= 16;
  } else if (dtype == FLAGOS_DTYPE_FLOAT16 && number != 0) {
    const auto exponent = static_cast<std::uint32_t>(std::bit_width(number)) - 1;
    bits = ((exponent + 15) << 10) | ((number << (10 - exponent)) & 0x3ffu);
  }
  std::memcpy(out, &bits, width_of(dtype));
}

std::vector<std::uint8_t> encoded(const std::vector<std::uint32_t>& numbers, flagos_dtype_t dtype) {
  std::vector<std::uint8_t> bytes(numbers.size() * width_of(dtype));
  for (std::size_t i = 0; i < numbers.size(); ++i)
    encode(numbers[i], dtype, bytes.data() + i * width_of(dtype));
  return bytes;
}

std::uint32_t reduced(flagos_collective_reduction_t reduction, std::uint32_t a, std::uint32_t b) {
  switch (reduction) {
    case FLAGOS_COLLECTIVE_REDUCTION_PRODUCT:
      return a * b;
    case FLAGOS_COLLECTIVE_REDUCTION_MIN:
      return std::min(a, b);
    case FLAGOS_COLLECTIVE_REDUCTION_MAX:
      return std::max(a, b);
    default:
      return a + b;
  }
}

std::uint32_t value_of(std::uint32_t rank, std::uint64_t i) {
  return 1 + static_cast<std::uint32_t>((i * 7 + rank * 5) % 3);
}

std::vector<std::uint8_t> values_of(std::uint32_t rank, std::uint64_t count, flagos_dtype_t dtype) {
  std::vector<std::uint8_t> bytes(count * width_of(dtype));
  for (std::uint64_t i = 0; i < count; ++i)
    encode(value_of(rank, i), dtype, bytes.data() + i * width_of(dtype));
  return bytes;
}

std::vector<std::uint8_t> reduced_values(std::uint32_t size, std::uint64_t first,
                                         std::uint64_t count, flagos_dtype_t dtype,
                                         flagos_collective_reduction_t reduction) {
  std::vector<std::uint8_t> bytes(count * width_of(dtype));
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint32_t result = value_of(0, first + i);
    for (std::uint32_t rank = 1; rank < size; ++rank)
      result = reduced(reduction, result, value_of(rank, first + i));
    encode(result, dtype, bytes.data() + i * width_of(dtype));
  }
  return bytes;
}

std::vector<std::uint8_t> tagged(std::uint32_t from, std::uint32_t to, std::uint64_t count) {
  std::vector<std::uint8_t> bytes(count);
  for (std::uint64_t i = 0; i < count; ++i)
    bytes[i] = static_cast<std::uint8_t>(1 + from * 16 + to + i * 11);
  return bytes;
}

std::vector<std::uint64_t> counts_of(Context& t) {
  if (t.settings().quick) return {1, 1023};
  return {1, 2, 3, 1023, 1024, 1025, 8192};
}

}  // namespace flagos::conformance::coll
