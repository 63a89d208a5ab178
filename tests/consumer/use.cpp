// use.cpp - a C++ program as users build it.
#include <latchkey/latchkey.h>

#include <iostream>
#include <memory>
#include <string>

int main()
{
    lk_cache_options options{};
    options.capacity_bytes = 1u << 16;
    lk_cache *opened = nullptr;
    if (int rc = lk_cache_open_anonymous(&opened, &options)) {
        std::cerr << lk_strerror(rc) << ": " << lk_error_text() << '\n';
        return 1;
    }
    std::unique_ptr<lk_cache, decltype(&lk_cache_close)> cache(opened, &lk_cache_close);
    const std::string key = "key", value = "value";
    if (lk_cache_set(cache.get(), key.data(), key.size(), value.data(), value.size(), LK_TTL_NEVER))
        return 1;
    std::string got(16, '\0');
    std::size_t size = 0;
    if (lk_cache_get(cache.get(), key.data(), key.size(), &got[0], got.size(), &size))
        return 1;
    got.resize(size);
    std::cout << got << " from latchkey " << lk_version() << '\n';
    return got == value ? 0 : 1;
}
