// A program in C++ that uses an installed flagos.
#include <flagos.h>

#include <iostream>
#include <memory>
#include <type_traits>

int main() {
  flagos_version_info_t version{};
  version.struct_size = sizeof version;
  flagos_runtime_t* runtime = nullptr;
  if (flagos_get_version(&version) != FLAGOS_STATUS_OK ||
      flagos_runtime_create(nullptr, &runtime) != FLAGOS_STATUS_OK) {
    std::cerr << flagos_last_error() << '\n';
    return 1;
  }
  const auto destroy = [](flagos_runtime_t* live) { flagos_runtime_destroy(live); };
  const std::unique_ptr<flagos_runtime_t, decltype(destroy)> owner(runtime, destroy);
  uint32_t count = 0;
  if (flagos_device_get_count(runtime, &count) != FLAGOS_STATUS_OK) {
    std::cerr << flagos_last_error() << '\n';
    return 1;
  }
  std::cout << "flagos " << version.product_version << ", " << count << " devices\n";
  return count == 0 ? 1 : 0;
}
