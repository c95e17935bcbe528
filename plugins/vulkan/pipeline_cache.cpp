#include "plugins/vulkan/pipeline_cache.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "plugins/vulkan/device.hpp"

namespace flagos::vulkan {
namespace {

// FLAGOS_VULKAN_CACHE, else a folder of the user; "" where there is none or it is "off".
std::string folder_of(const Host& host) {
  const std::string own(host.get_config("FLAGOS_VULKAN_CACHE"));
  if (own == "off") return {};
  if (!own.empty()) return own;
  const std::string cache(host.get_config("XDG_CACHE_HOME"));
  if (!cache.empty()) return cache + "/flagos/vulkan";
  const std::string home(host.get_config("HOME"));
  return home.empty() ? std::string() : home + "/.cache/flagos/vulkan";
}

std::string hex(const std::uint8_t* bytes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += fmt::format("{:02x}", bytes[i]);
  return text;
}

// A file that is there is complete: written beside it, then renamed.
void write_file(const std::string& path, const std::vector<char>& bytes) {
  const std::string temporary = fmt::format("{}.{}.new", path, getpid());
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file || std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    std::remove(temporary.c_str());
    throw_error(FLAGOS_STATUS_OUT_OF_RESOURCES, "the pipeline cache '{}' cannot be written: {}",
                path, std::generic_category().message(error));
  }
}

}  // namespace

bool is_cache_of(const std::vector<char>& bytes, const VkPhysicalDeviceProperties& properties) {
  VkPipelineCacheHeaderVersionOne header;
  if (bytes.size() < sizeof(header)) return false;
  std::memcpy(&header, bytes.data(), sizeof(header));
  return header.headerSize >= sizeof(header) && header.headerSize <= bytes.size() &&
         header.headerVersion == VK_PIPELINE_CACHE_HEADER_VERSION_ONE &&
         header.vendorID == properties.vendorID && header.deviceID == properties.deviceID &&
         std::memcmp(header.pipelineCacheUUID, properties.pipelineCacheUUID, VK_UUID_SIZE) == 0;
}

PipelineCache::PipelineCache(Device& device) : device_(device) {
  const VkPhysicalDeviceProperties& properties = device.physical().properties();
  if (const std::string folder = folder_of(device.host()); !folder.empty())
    path_ = fmt::format("{}/{:08x}-{:08x}-{}.bin", folder, properties.vendorID, properties.deviceID,
                        hex(properties.pipelineCacheUUID, VK_UUID_SIZE));
  const std::vector<char> bytes = load();
  loaded_bytes_ = bytes.size();
  VkPipelineCacheCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO;
  create.initialDataSize = bytes.size();
  create.pInitialData = bytes.data();
  check(device.vk().vkCreatePipelineCache(device.handle(), &create, nullptr, &handle_),
        "vkCreatePipelineCache from {} bytes", bytes.size());
}

PipelineCache::~PipelineCache() {
  if (created_.load() != 0 && !path_.empty() && !device_.is_lost())
    guard([&] { save(); },
          [&](flagos_status_t, const char* text) {
            device_.host().log(FLAGOS_LOG_LEVEL_WARNING, text);
          });
  device_.vk().vkDestroyPipelineCache(device_.handle(), handle_, nullptr);
}

std::vector<char> PipelineCache::load() const {
  if (path_.empty()) return {};
  std::ifstream file(path_, std::ios::binary);
  if (!file) return {};
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (is_cache_of(bytes, device_.physical().properties())) return bytes;
  device_.host().log(FLAGOS_LOG_LEVEL_WARNING,
                     fmt::format("the pipeline cache '{}' ({} bytes) is not of {}: ignored", path_,
                                 bytes.size(), device_.physical().name()));
  return {};
}

void PipelineCache::save() const {
  std::size_t size = 0;
  check(device_.vk().vkGetPipelineCacheData(device_.handle(), handle_, &size, nullptr),
        "vkGetPipelineCacheData");
  std::vector<char> bytes(size);
  check(device_.vk().vkGetPipelineCacheData(device_.handle(), handle_, &size, bytes.data()),
        "vkGetPipelineCacheData");
  bytes.resize(size);
  if (bytes.size() == loaded_bytes_) return;  // nothing new
  std::filesystem::create_directories(std::filesystem::path(path_).parent_path());
  write_file(path_, bytes);
}

}  // namespace flagos::vulkan
