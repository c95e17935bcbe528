#include "conformance/cases/sites.hpp"

#include <stdexcept>

#include "conformance/locate.hpp"

namespace flagos::conformance {
namespace {

constexpr auto ok = FLAGOS_STATUS_OK;
constexpr std::uint64_t a_minute = 60'000'000'000u;

}  // namespace

flagos_address_t address_of(const void* pointer) {
  return reinterpret_cast<flagos_address_t>(pointer);
}

Site::Site(Context& t, std::uint32_t index, std::uint64_t size) : t_(t), size_(size) {
  t.ok(flagos_device_open(t.runtime(), index, &device_), "open a device");
  flagos_memory_desc_t desc{};
  desc.struct_size = sizeof desc;
  desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
  desc.size_bytes = size;
  const bool made = flagos_stream_create(device_, nullptr, &stream_) == ok &&
                    flagos_memory_alloc(device_, &desc, &memory_) == ok;
  if (!made) close();
  t.check(made, "a stream and memory on each device");
}

void Site::close() {
  flagos_stream_destroy(stream_);
  flagos_memory_free(device_, memory_);
  flagos_device_close(device_);
}

void Site::synchronize() {
  t_.ok(flagos_stream_synchronize(stream_, a_minute), "finish the stream");
}

void Site::write_at(flagos_address_t address, std::span<const std::uint8_t> bytes) {
  t_.ok(flagos_memory_copy(stream_, address, address_of(bytes.data()), bytes.size()), "write");
  synchronize();
}

std::vector<std::uint8_t> Site::read_at(flagos_address_t address, std::uint64_t size) {
  std::vector<std::uint8_t> bytes(size, Buffer::poison);
  t_.ok(flagos_memory_copy(stream_, address_of(bytes.data()), address, size), "read");
  synchronize();
  return bytes;
}

std::uint32_t device_count(Context& t) {
  std::uint32_t count = 0;
  t.ok(flagos_device_get_count(t.runtime(), &count), "count the devices");
  return count;
}

std::uint32_t other_index(Context& t) {
  const std::uint32_t count = device_count(t);
  return count < 2 ? t.info().index : (t.info().index + 1) % count;
}

flagos_status_t copy_peer(const Site& at, const Site& target, const Site& source,
                          std::uint64_t size) {
  return flagos_memory_copy_peer(at.stream(), target.memory(), target.device(), source.memory(),
                                 source.device(), size);
}

std::string other_plugin(const Context::Settings& settings) {
  for (const char* const name : {"cpu", "skeleton"}) {
    try {
      const std::string path = find_plugin(name, own_executable());
      if (path != settings.plugin_path) return path;
    } catch (const std::runtime_error&) {
      continue;
    }
  }
  return "";
}

}  // namespace flagos::conformance
