// What one process hands to another: blobs of memory, events and physical memory, changed, with a digest that does not hold
// and with one that was made to. An import gives an object that can be freed, or a status.
#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "core/external.hpp"
#include "tests/fuzz/runtime.hpp"

namespace flagos::fuzz {
namespace {

constexpr std::size_t blob_bytes = sizeof(flagos_external_t::blob);

// One exported object of each kind, that lives as long as the program.
struct World {
  flagos_device_t* device = open_device(make_runtime("cpu", flagos_plugin_open));
  flagos_external_t memory{}, event{}, physical{};

  World() {
    flagos_set_log_callback(nullptr, nullptr, FLAGOS_LOG_LEVEL_OFF);
    memory.struct_size = event.struct_size = physical.struct_size = sizeof(flagos_external_t);
    flagos_memory_desc_t desc{};
    desc.struct_size = sizeof(desc);
    desc.kind = FLAGOS_MEMORY_KIND_DEVICE;
    desc.size_bytes = 65536;
    desc.flags = FLAGOS_MEMORY_FLAG_EXPORTABLE;
    flagos_address_t address = 0;
    demand(flagos_memory_alloc(device, &desc, &address) == FLAGOS_STATUS_OK, "memory can be made");
    demand(flagos_memory_export(device, address, &memory) == FLAGOS_STATUS_OK,
           "memory can be exported");
    flagos_event_desc_t event_desc{};
    event_desc.struct_size = sizeof(event_desc);
    event_desc.flags = FLAGOS_EVENT_FLAG_EXPORTABLE | FLAGOS_EVENT_FLAG_NO_TIMING;
    flagos_event_t* made = nullptr;
    demand(flagos_event_create(device, &event_desc, &made) == FLAGOS_STATUS_OK,
           "an event can be made");
    demand(flagos_event_export(made, &event) == FLAGOS_STATUS_OK, "an event can be exported");
    physical = memory;
  }
};
World& world() {
  static World* const made = new World;
  return *made;
}

void import_memory(const flagos_external_t& external) {
  flagos_address_t address = 0;
  std::uint64_t size = 0;
  flagos_device_t* const device = world().device;
  const flagos_status_t status = flagos_memory_import(device, &external, &address, &size);
  demand((status == FLAGOS_STATUS_OK) == (address != 0), "an address comes with OK only");
  if (status != FLAGOS_STATUS_OK) return;
  flagos_memory_info_t info{};
  info.struct_size = sizeof(info);
  demand(flagos_memory_get_info(device, address, &info) == FLAGOS_STATUS_OK &&
             info.base == address && info.size_bytes == size,
         "imported memory is known");
  // All of it is there.
  flagos_stream_t* stream = nullptr;
  demand(flagos_stream_create(device, nullptr, &stream) == FLAGOS_STATUS_OK,
         "a stream can be made");
  const std::uint8_t zero = 0;
  demand(flagos_memory_fill(stream, address, &zero, 1, size) == FLAGOS_STATUS_OK,
         "imported memory can be filled");
  demand(flagos_stream_synchronize(stream, FLAGOS_TIMEOUT_INFINITE) == FLAGOS_STATUS_OK,
         "it is filled");
  flagos_stream_destroy(stream);
  demand(flagos_memory_free(device, address) == FLAGOS_STATUS_OK, "imported memory can be freed");
}

void import_event(const flagos_external_t& external) {
  flagos_event_t* event = nullptr;
  const flagos_status_t status = flagos_event_import(world().device, &external, &event);
  demand((status == FLAGOS_STATUS_OK) == (event != nullptr), "an event comes with OK only");
  if (status != FLAGOS_STATUS_OK) return;
  std::uint32_t complete = 0;
  flagos_event_query(event, &complete);
  demand(flagos_event_destroy(event) == FLAGOS_STATUS_OK, "an imported event can be destroyed");
}

void import_physical(const flagos_external_t& external) {
  flagos_physical_memory_t* memory = nullptr;
  std::uint64_t size = 0;
  const flagos_status_t status =
      flagos_physical_memory_import(world().device, &external, &memory, &size);
  demand((status == FLAGOS_STATUS_OK) == (memory != nullptr), "physical memory comes with OK only");
  if (status == FLAGOS_STATUS_OK) flagos_physical_memory_destroy(memory);
}

// A descriptor that is not the one of the blob.
int other_descriptor(std::uint32_t which) {
  static const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  static const int folder_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const int descriptors[] = {-1, null, folder_fd, 1 << 20, world().memory.fd, world().event.fd};
  return descriptors[which % std::size(descriptors)];
}

}  // namespace

// Kind, descriptor, whether the digest is made to hold; then changes: where, how many bytes, bytes.
std::vector<std::string> seeds() {
  std::vector<std::string> all;
  for (char kind = 0; kind < 6; ++kind) {
    for (const char sealed : {0, 1}) {
      all.push_back({kind, 0, sealed});
      all.push_back({kind, 0, sealed, 16, 7, 0, 0, 0, 0, 0, 0, 0, 1});
      all.push_back({kind, 0, sealed, 8, 0, 3});
      all.push_back({kind, 3, sealed, 0, 0, 1});
    }
  }
  return all;
}

}  // namespace flagos::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flagos::fuzz;
  World& world = flagos::fuzz::world();
  Bytes bytes(data, size);
  const std::uint32_t kind = bytes.below(6), descriptor = bytes.below(8);
  const bool sealed = bytes.below(2) != 0;
  flagos_external_t external = kind % 2 == 0 ? world.memory : world.event;
  if (descriptor > 2) external.fd = other_descriptor(descriptor);
  while (!bytes.at_end()) {
    const std::size_t at = bytes.below(blob_bytes), count = 1 + bytes.below(16);
    const auto taken = bytes.take(std::min(count, blob_bytes - at));
    std::copy(taken.begin(), taken.end(), external.blob + at);
  }
  if (sealed && fcntl(external.fd, F_GETFD) >= 0) {
    flagos::core::ExternalBlob blob;
    std::memcpy(&blob, external.blob, sizeof(blob));
    flagos::core::seal_blob(blob, external.fd, external);
  }
  const int before = external.fd;
  switch (kind / 2) {
    case 0:
      kind == 0 ? import_memory(external) : import_event(external);
      break;
    case 1:
      kind == 2 ? import_event(external) : import_memory(external);
      break;
    default:
      import_physical(external);
      break;
  }
  demand(external.fd == before, "an import borrows the descriptor");
  return 0;
}
