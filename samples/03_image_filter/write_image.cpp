#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "samples/03_image_filter/image.hpp"

namespace flagos::samples {
namespace {

[[noreturn]] void fail(const std::string& path, const char* what) {
  throw ImageError("cannot write '" + path + "': " + what +
                   "; check the folder, its permissions and its space");
}

// A file beside the target that replaces it at the end, and goes away when something fails before.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& target) : target_(target), path_(target + ".XXXXXX") {
    descriptor_ = ::mkstemp(path_.data());
    if (descriptor_ < 0) fail(target_, std::strerror(errno));
  }
  ~TemporaryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(const std::string& data) {
    for (std::size_t done = 0; done < data.size();) {
      const ssize_t count = ::write(descriptor_, data.data() + done, data.size() - done);
      if (count <= 0) fail(target_, std::strerror(errno));
      done += static_cast<std::size_t>(count);
    }
  }

  void replace_target() {
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(descriptor_, 0666 & ~mask) != 0 || ::fsync(descriptor_) != 0)
      fail(target_, std::strerror(errno));
    if (::rename(path_.c_str(), target_.c_str()) != 0) fail(target_, std::strerror(errno));
    path_.clear();
  }

 private:
  const std::string& target_;
  std::string path_;
  int descriptor_ = -1;
};

std::string encode(const Image& image) {
  std::string data = image.channels == 3 ? "P6\n" : "P5\n";
  data += std::to_string(image.width) + " " + std::to_string(image.height) + "\n" +
          std::to_string(image.maximum) + "\n";
  const bool wide = image.maximum > 255;
  data.reserve(data.size() + image.samples.size() * (wide ? 2 : 1));
  for (const std::uint16_t sample : image.samples) {
    if (wide) data.push_back(static_cast<char>(sample >> 8));
    data.push_back(static_cast<char>(sample & 0xff));
  }
  return data;
}

// A colour image under the name of a grey one would not open elsewhere.
void check_name(const std::string& path, std::uint32_t channels) {
  const bool is_grey_name = path.ends_with(".pgm"), is_colour_name = path.ends_with(".ppm");
  if (channels == 3 && is_grey_name)
    fail(path, "the image has colours, so its name must end in .ppm");
  if (channels == 1 && is_colour_name)
    fail(path, "the image is grey, so its name must end in .pgm");
}

}  // namespace

void write_image(const std::string& path, const Image& image) {
  check_name(path, image.channels);
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode))
    fail(path, "it is there and is not a file");
  TemporaryFile file(path);
  file.write(encode(image));
  file.replace_target();
}

}  // namespace flagos::samples
