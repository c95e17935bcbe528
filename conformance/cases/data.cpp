// What the cases about memory, copies, fills and streams share.
#include "conformance/cases/data.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace flagos::conformance::data {

namespace {

constexpr std::uint64_t kCanary = 64 * kKib;

flagos_device_t* open(flagos_runtime_t* runtime, std::uint32_t index) {
  flagos_device_t* device = nullptr;
  return flagos_device_open(runtime, index, &device) == FLAGOS_STATUS_OK ? device : nullptr;
}

}  // namespace

flagos_memory_desc_t memory_desc(std::uint64_t size, flagos_memory_kind_t kind,
                                 std::uint64_t alignment, std::uint64_t flags) {
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = kind;
  desc.size_bytes = size;
  desc.alignment_bytes = alignment;
  desc.flags = flags;
  return desc;
}

void copy(Context& t, flagos_stream_t* stream, flagos_address_t target, flagos_address_t source,
          std::uint64_t size) {
  t.ok(flagos_memory_copy(stream, target, source, size),
       "copy of " + std::to_string(size) + " bytes");
}

void add_words(Context& t, flagos_stream_t* stream, flagos_address_t target,
               flagos_address_t source, std::uint32_t addend, std::uint32_t count) {
  const flagos_device_info_t& info = t.info();
  const std::uint32_t block = std::min({256u, info.max_block[0], info.max_block_threads});
  launch(t, stream, t.kernel("data_add"), {(count + block - 1) / block}, {block},
         {arg(target), arg(source), arg_u32(addend), arg_u32(count)});
}

void synchronize(Context& t, flagos_stream_t* stream) {
  t.ok(flagos_stream_synchronize(stream, kPatienceNs), "stream_synchronize");
}

void record(Context& t, flagos_event_t* event, flagos_stream_t* stream) {
  t.ok(flagos_event_record(event, stream), "event_record");
}

void wait_event(Context& t, flagos_stream_t* stream, flagos_event_t* event) {
  t.ok(flagos_stream_wait_event(stream, event), "stream_wait_event");
}

void write(Context& t, flagos_stream_t* stream, flagos_address_t target,
           std::span<const std::uint8_t> bytes) {
  copy(t, stream, target, host(bytes.data()), bytes.size());
  synchronize(t, stream);
}

std::vector<std::uint8_t> read(Context& t, flagos_stream_t* stream, flagos_address_t source,
                               std::uint64_t size) {
  std::vector<std::uint8_t> bytes(size, 0x5a);
  copy(t, stream, host(bytes.data()), source, size);
  synchronize(t, stream);
  return bytes;
}

bool complete(Context& t, flagos_stream_t* stream) {
  std::uint32_t answer = 2;
  t.ok(flagos_stream_query(stream, &answer), "stream_query");
  t.check(answer <= 1, "stream_query answers 0 or 1");
  return answer == 1;
}

bool complete(Context& t, flagos_event_t* event) {
  std::uint32_t answer = 2;
  t.ok(flagos_event_query(event, &answer), "event_query");
  t.check(answer <= 1, "event_query answers 0 or 1");
  return answer == 1;
}

void check_held(Context& t, flagos_stream_t* stream, const std::string& what) {
  t.check(!complete(t, stream), what + " returned while the stream was held");
}

std::uint64_t free_bytes(Context& t) {
  std::uint64_t free = 0;
  std::uint64_t total = 0;
  t.ok(flagos_device_query_memory(t.device(), &free, &total), "device_query_memory");
  t.check(free <= total, "free memory is at most the total");
  return free;
}

void require_async(Context& t) { t.require_capability(FLAGOS_DEVICE_CAPABILITY_ASYNC_SUBMIT); }

void require_concurrent(Context& t) {
  require_async(t);
  t.require_capability(FLAGOS_DEVICE_CAPABILITY_CONCURRENT_STREAMS);
}

std::vector<std::uint8_t> noise(Context& t, std::uint64_t size) {
  std::vector<std::uint8_t> bytes(size);
  std::uint64_t state = t.random()();
  for (std::uint64_t i = 0; i < size; i += 8) {
    state += 0x9e3779b97f4a7c15u;
    std::uint64_t word = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9u;
    word ^= word >> 27;
    std::memcpy(bytes.data() + i, &word, std::min<std::uint64_t>(8, size - i));
  }
  return bytes;
}

void same(Context& t, std::span<const std::uint8_t> actual, std::span<const std::uint8_t> expected,
          const std::string& what) {
  const bool large = actual.size() > kMib && actual.size() == expected.size();
  if (large && std::memcmp(actual.data(), expected.data(), actual.size()) == 0) {
    t.check(true, what);
    return;
  }
  t.equal_bytes(actual, expected, what);
}

void all_are(Context& t, std::span<const std::uint8_t> bytes, std::uint8_t value,
             const std::string& what) {
  const auto other =
      std::find_if(bytes.begin(), bytes.end(), [value](std::uint8_t b) { return b != value; });
  t.check(other == bytes.end(),
          what + ": byte " + std::to_string(other - bytes.begin()) + " differs");
}

std::vector<std::uint32_t> words(std::span<const std::uint8_t> bytes) {
  std::vector<std::uint32_t> result(bytes.size() / 4);
  std::memcpy(result.data(), bytes.data(), result.size() * 4);
  return result;
}

Memory::Memory(Context& t, std::uint64_t size, flagos_memory_kind_t kind, std::uint64_t alignment,
               std::uint64_t flags)
    : t_(t), size_(size) {
  const flagos_memory_desc_t desc = memory_desc(size, kind, alignment, flags);
  t.ok(flagos_memory_alloc(t.device(), &desc, &address_),
       "memory_alloc of " + std::to_string(size) + " bytes");
  t.check(address_ != 0, "memory_alloc gives an address");
}

Memory::~Memory() { flagos_memory_free(t_.device(), address_); }

void Memory::free() { t_.ok(flagos_memory_free(t_.device(), release()), "memory_free"); }

flagos_address_t Memory::release() { return std::exchange(address_, 0); }

OtherDevice::OtherDevice(Context& t) : t_(t) {
  device_ = open(t.runtime(), t.info().index);
  t.check(device_ != nullptr, "the device opens a second time");
}

OtherDevice::~OtherDevice() { flagos_device_close(device_); }

void OtherDevice::close() {
  t_.ok(flagos_device_close(std::exchange(device_, nullptr)), "device_close of the second open");
}

DeviceStream::DeviceStream(Context& t, flagos_device_t* device) {
  t.ok(flagos_stream_create(device, nullptr, &stream_), "stream_create");
}

DeviceStream::~DeviceStream() { flagos_stream_destroy(stream_); }

Side::Side(Context& t, flagos_memory_kind_t kind, std::uint64_t size) : t_(t), size_(size) {
  if (kind == FLAGOS_MEMORY_KIND_UNKNOWN) {
    host_.assign(size + 2 * kCanary, Buffer::poison);
  } else {
    buffer_ = new Buffer(t, size, kind);
  }
}

Side::~Side() noexcept(false) { delete buffer_; }

flagos_address_t Side::address(std::uint64_t offset) const {
  return buffer_ != nullptr ? buffer_->address(offset) : host(host_.data() + kCanary + offset);
}

void Side::set(std::span<const std::uint8_t> bytes) {
  if (buffer_ != nullptr) {
    buffer_->write(bytes);
  } else {
    std::copy(bytes.begin(), bytes.end(), host_.begin() + kCanary);
  }
}

std::vector<std::uint8_t> Side::get() {
  if (buffer_ != nullptr) return buffer_->read();
  const std::span<const std::uint8_t> bytes(host_.data() + kCanary, size_);
  return {bytes.begin(), bytes.end()};
}

void Side::verify() {
  if (buffer_ != nullptr) {
    buffer_->verify();
    return;
  }
  const std::span<const std::uint8_t> all(host_);
  all_are(t_, all.first(kCanary), Buffer::poison, "the canary before a host buffer");
  all_are(t_, all.last(kCanary), Buffer::poison, "the canary behind a host buffer");
}

const char* kind_name(flagos_memory_kind_t kind) {
  switch (kind) {
    case FLAGOS_MEMORY_KIND_DEVICE:
      return "device";
    case FLAGOS_MEMORY_KIND_PINNED:
      return "pinned";
    case FLAGOS_MEMORY_KIND_MANAGED:
      return "managed";
    case FLAGOS_MEMORY_KIND_REGISTERED:
      return "registered";
    default:
      return "host";
  }
}

std::vector<flagos_memory_kind_t> copy_kinds(Context& t) {
  std::vector<flagos_memory_kind_t> kinds{FLAGOS_MEMORY_KIND_UNKNOWN, FLAGOS_MEMORY_KIND_DEVICE};
  if (t.has(FLAGOS_FEATURE_PINNED_MEMORY)) kinds.push_back(FLAGOS_MEMORY_KIND_PINNED);
  if (t.has(FLAGOS_FEATURE_MANAGED_MEMORY)) kinds.push_back(FLAGOS_MEMORY_KIND_MANAGED);
  return kinds;
}

Block alloc_block(Context& t, std::uint64_t size, std::uint32_t tag, flagos_memory_kind_t kind) {
  const flagos_memory_desc_t desc = memory_desc(size, kind);
  Block block{0, size, tag};
  t.ok(flagos_memory_alloc(t.device(), &desc, &block.address),
       "memory_alloc of " + std::to_string(size) + " bytes");
  return block;
}

namespace {

std::uint64_t last_word(const Block& block) { return (block.size - 4) & ~std::uint64_t{3}; }

}  // namespace

void stamp(Context& t, flagos_stream_t* stream, const Block& block) {
  fill(t, stream, block.address, block.tag, 4);
  if (last_word(block) != 0) fill(t, stream, block.address + last_word(block), ~block.tag, 4);
}

void check_blocks(Context& t, flagos_stream_t* stream, std::span<const Block> blocks) {
  std::vector<std::uint32_t> found(blocks.size() * 2, 0x5a5a5a5a);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    copy(t, stream, host(&found[2 * i]), blocks[i].address, 4);
    copy(t, stream, host(&found[2 * i + 1]), blocks[i].address + last_word(blocks[i]), 4);
  }
  synchronize(t, stream);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const std::uint32_t last = last_word(blocks[i]) == 0 ? blocks[i].tag : ~blocks[i].tag;
    t.equal(found[2 * i], blocks[i].tag, "the first word of a block");
    t.equal(found[2 * i + 1], last, "the last word of a block");
  }
}

void free_blocks(Context& t, std::span<const Block> blocks) {
  for (const Block& block : blocks)
    t.ok(flagos_memory_free(t.device(), block.address), "memory_free");
}

void check_disjoint(Context& t, std::vector<Block> blocks) {
  std::sort(blocks.begin(), blocks.end(),
            [](const Block& a, const Block& b) { return a.address < b.address; });
  for (std::size_t i = 1; i < blocks.size(); ++i) {
    t.check(blocks[i - 1].address + blocks[i - 1].size <= blocks[i].address,
            "live allocations do not overlap: " + std::to_string(blocks[i - 1].address) + " + " +
                std::to_string(blocks[i - 1].size) + " and " + std::to_string(blocks[i].address));
  }
}

HelperDevice::HelperDevice(const Helper& helper) {
  flagos_runtime_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.abi_version = FLAGOS_ABI_VERSION;
  desc.flags = FLAGOS_RUNTIME_FLAG_NO_SEARCH;
  if (flagos_runtime_create(&desc, &runtime_) != FLAGOS_STATUS_OK) return;
  if (flagos_runtime_add_plugin(runtime_, helper.settings.plugin_path.c_str()) != FLAGOS_STATUS_OK)
    return;
  device_ = open(runtime_, helper.settings.device_ordinal);
  if (device_ != nullptr) flagos_stream_create(device_, nullptr, &stream_);
}

HelperDevice::~HelperDevice() {
  flagos_stream_destroy(stream_);
  flagos_device_close(device_);
  flagos_runtime_destroy(runtime_);
}

}  // namespace flagos::conformance::data
